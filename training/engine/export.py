"""From trained networks to a model folder that load.py reads: card.json + weights.safetensors."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model_store.card import WEIGHTS, ModelCard
from model_store.folder import Card, staged, write_card

DIRECTIONS = "directions"
"""The folder in a model's folder that is no part of the model; of a model that is replaced, it stays."""


def export(folder: Path, card: ModelCard, networks: Mapping[str, nn.Module], half: bool = False) -> ModelCard:
    """Write the model; the folder appears whole or not at all. Returns the card with the weights' digest.

    Args:
        networks: by the prefix of their keys in the file: "generator", "encoder" where the card says has_encoder, ...
        half: store float16, half the size; values are read back into the precision that is served.

    Raises:
        NotWritten: it cannot be written, and what was there is there.
    """
    return export_tensors(folder, card, tensors_of(networks, torch.float16 if half else torch.float32))


def tensors_of(networks: Mapping[str, nn.Module], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """What the networks' weights file holds, by the prefix of their keys in it."""
    return {
        f"{prefix}.{key}": value.detach().to("cpu", dtype).contiguous()
        for prefix, network in networks.items()
        for key, value in network.state_dict().items()
    }


def export_tensors(folder: Path, card: Card, tensors: dict[str, Tensor]) -> Card:
    """Write the model from the tensors of its weights file, in place of the one that is there.

    Raises:
        NotWritten: it cannot be written, and what was there is there.
    """
    with staged(folder.parent, folder.name, force=True) as new:
        save_file(tensors, new / WEIGHTS)
        if (folder / DIRECTIONS).is_dir():
            shutil.copytree(folder / DIRECTIONS, new / DIRECTIONS)
        return write_card(new, card)
