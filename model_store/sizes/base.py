"""FamilySizes: a family's name, and what the `network` of its cards may say. No torch: models are listed by it."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_store.card import CARD, AnyCard, ModelCard
from model_store.faults import FolderFault, first_fault

Count = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=8192)]
"""Channels, or units of a layer."""
Edges = Annotated[tuple[Count, Count, Count], Field(strict=False)]

Shapes = Mapping[str, tuple[int, ...]]
"""Of the tensors of a weights file, by their keys."""


class FamilySizes(BaseModel):
    """`network` of a card, as one family reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: ClassVar[str]
    """The family's name: stands here and nowhere else."""
    card: ClassVar[type[AnyCard]] = ModelCard
    """What the family's cards are read as."""

    @classmethod
    def of(cls, card: AnyCard) -> Self:
        """The sizes in a card, held against the rest of it.

        Raises:
            FolderFault: the family has no such network.
        """
        try:
            sizes = cls.model_validate(card.network)
        except ValidationError as err:
            raise FolderFault(f"{CARD} is not valid{first_fault(err, 'network')}") from err
        fault = sizes.fault(card)
        if fault:
            raise FolderFault(f"{CARD}: {fault}")
        return sizes

    @abstractmethod
    def fault(self, card: AnyCard) -> str | None:
        """Why these sizes and the rest of the card do not go together; None where they do."""

    def tensors(self) -> Shapes | None:
        """Of the weights file; None where only building the network tells, so that only loading finds a fault."""
        return None


class GeneratorSizes(FamilySizes):
    """Of a family that makes volumes of latents."""

    def fault(self, card: AnyCard) -> str | None:
        if not isinstance(card, ModelCard):
            return "a generator has a latent and a shape"
        return self.generator_fault(card)

    @abstractmethod
    def generator_fault(self, card: ModelCard) -> str | None:
        """As `fault`."""


def grown(base: tuple[int, ...], doublings: int) -> tuple[int, ...]:
    """Edges after so many doublings."""
    return tuple(edge << doublings for edge in base)
