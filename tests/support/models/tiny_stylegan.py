"""Tiny 3D-StyleGAN model folders for tests: real networks with random weights, written as the project writes models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance, TruncationSpec
from model_store.families.stylegan import ServedStyleGAN
from model_store.sizes.progressive import stage_channels, stage_shape
from tests.support.models.tiny_models import write_card


def write_stylegan(
    folder: Path,
    name: str = "tiny-stylegan",
    base: Sequence[int] = (2, 3, 2),
    stages: int = 2,
    c: int = 4,
    latent: int = 8,
    w_dim: int | None = None,
    encoder: bool = True,
    critic: bool = True,
    seed: int = 0,
    stored: torch.dtype = torch.float16,
    **card_fields: Any,
) -> ModelCard:
    """Writes `folder / name` with card.json and weights.safetensors; further keywords replace fields of the card."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "stylegan",
        "title": "A tiny style model for tests",
        "modality": "CT",
        "shape": stage_shape(base, stages),
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "latent": LatentSpec(z_dim=latent, w_dim=w_dim or latent, num_styles=3 * stages, has_style_space=True),
        "truncation": TruncationSpec(kind="psi"),
        "intensity": IntensitySpec(low=-1024.0, high=600.0, units="HU", network_range=(0.0, 1.0)),
        "has_encoder": encoder,
        "network": {"base": list(base), "channels": stage_channels(c, stages), "critic": critic},
        "provenance": Provenance(origin="trained", notes="random weights"),
    }
    card = ModelCard(**(fields | card_fields), files={"weights.safetensors": ""})
    target = folder / name
    target.mkdir(parents=True)
    save_file(tiny_weights(card, seed, stored), target / "weights.safetensors")
    return write_card(target, card)


def tiny_weights(card: ModelCard, seed: int, stored: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """Random weights under the keys of a model folder's file. The global generator is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = ServedStyleGAN(card)
        for conv in model.synthesis.convolutions():
            conv.noise_scale.normal_(0, 0.2)
            conv.bias.normal_(0, 0.2)
        z = torch.randn(256, card.latent.z_dim)
        model.mapping.mean_style.copy_(model.mapping(z).mean(0))
    return {key: value.to(stored).contiguous() for key, value in model.state_dict().items()}
