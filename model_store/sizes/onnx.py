"""Sizes of a network that came as an ONNX file: what its dry run measured. And its card, which can do less."""

from typing import Annotated, ClassVar

from pydantic import Field

from model_store.card import AnyCard, ModelCard, Verb
from model_store.sizes.base import Count, GeneratorSizes

LARGEST_BYTES = 2**31 - 2**20
"""Of a file: protobuf holds no more."""
Bytes = Annotated[int, Field(ge=1, le=LARGEST_BYTES)]


class ONNXCard(ModelCard):
    """Of a network that is run and not looked into: no gradient, no layers, no styles (docs/decisions/0060)."""

    @property
    def is_open(self) -> bool:
        return False

    @property
    def verbs(self) -> tuple[Verb, ...]:
        return ("generate", "encode", "edit") if self.has_encoder else ("generate", "edit")


class ONNXSizes(GeneratorSizes):
    family: ClassVar[str] = "onnx"
    card: ClassVar[type[AnyCard]] = ONNXCard

    generator_bytes: Bytes
    """Of the file."""
    encoder_bytes: Bytes | None = None
    session_bytes: Count
    """Memory that both hold when they are ready."""
    synthesise_bytes: Count
    """Memory that one volume takes beside that, at the worst moment."""
    encode_bytes: Count | None = None

    def generator_fault(self, card: ModelCard) -> str | None:
        latent = card.latent
        if latent.has_style_space or latent.num_styles != 1 or card.truncation.kind != "normal":
            return "an ONNX network has no style space"
        if latent.w_dim != latent.z_dim:
            return "without a style space w is z"
        if (self.encoder_bytes is None, self.encode_bytes is None) != (not card.has_encoder,) * 2:
            return "network tells of an encoder, or the rest of the card does, but not both"
        return None
