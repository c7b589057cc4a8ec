"""Tiny 3D-ProGAN model folders for tests: real networks with random weights, written as the project writes models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance
from model_store.families.progan import ServedProGAN
from model_store.sizes.progressive import stage_channels, stage_shape
from tests.support.models.tiny_models import write_card


def write_progan(
    folder: Path,
    name: str = "tiny-progan",
    base: Sequence[int] = (2, 3, 2),
    stages: int = 2,
    c: int = 4,
    latent: int = 8,
    encoder: bool = True,
    critic: bool = True,
    seed: int = 0,
    stored: torch.dtype = torch.float16,
    **card_fields: Any,
) -> ModelCard:
    """Writes `folder / name` with card.json and weights.safetensors; further keywords replace fields of the card."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "progan",
        "title": "A tiny progressive model for tests",
        "modality": "CT",
        "shape": stage_shape(base, stages),
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "latent": LatentSpec(z_dim=latent, w_dim=latent),
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = ServedProGAN(card).state_dict()
    return {key: value.to(stored).contiguous() for key, value in state.items()}
