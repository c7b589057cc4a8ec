"""Checkpoints of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model_store.folder import replacing


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint at once, so that a run killed in mid-write keeps the last whole one."""
    with replacing(path) as partial:
        torch.save(state, partial)


def networks_in(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of all networks, by the network's name and their own.

    In older checkpoints each network has a dictionary of its own, those of ProGAN and StyleGAN beside `iteration`.

    Raises:
        LookupError: the state has no networks.
    """
    parts = state["networks"] if "networks" in state else {name: state[name] for name in ("generator", "critic")}
    tensors: dict[str, Tensor] = {}
    for name, part in parts.items():
        tensors |= {name: part} if isinstance(part, Tensor) else {f"{name}.{key}": own for key, own in part.items()}
    return tensors
