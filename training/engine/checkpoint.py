"""Checkpoints of a run."""

from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint at once, so that a run killed in mid-write keeps the last whole one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
