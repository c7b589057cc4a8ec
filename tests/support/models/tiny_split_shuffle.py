"""Tiny Split&Shuffle-GAN model folders for tests: real networks with random weights, written as the project does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance, TruncationSpec
from model_store.families.split_shuffle import ServedSplitShuffle
from tests.support.models.tiny_models import write_card


def write_split_shuffle(
    folder: Path,
    name: str = "tiny-split-shuffle",
    base: Sequence[int] = (2, 3, 4),
    doublings: int = 2,
    channels: int = 4,
    latent: int = 8,
    variant: str = "split-shuffle",
    critic: bool = True,
    seed: int = 0,
    stored: torch.dtype = torch.float16,
    **card_fields: Any,
) -> ModelCard:
    """Writes `folder / name` with card.json and weights.safetensors; further keywords replace fields of the card."""
    network = {"base": list(base), "doublings": doublings, "channels": channels, "variant": variant, "critic": critic}
    fields: dict[str, Any] = {
        "name": name,
        "family": "split-shuffle",
        "title": "A tiny style model for tests",
        "modality": "CT",
        "shape": tuple(edge * 2**doublings for edge in base),
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "latent": LatentSpec(z_dim=latent, w_dim=latent, num_styles=2 * doublings + 2, has_style_space=True),
        "truncation": TruncationSpec(kind="psi"),
        "intensity": IntensitySpec(low=-1024.0, high=600.0, units="HU"),
        "network": network,
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
        model = ServedSplitShuffle(card)
        for layer in model.synthesis.convolutions:
            layer.noise_scale.normal_(0, 0.2)
            layer.bias.normal_(0, 0.2)
        z = torch.randn(256, card.latent.z_dim)
        model.mapping.mean_style.copy_(model.mapping(z).mean(0))
    return {key: value.to(stored).contiguous() for key, value in model.state_dict().items()}
