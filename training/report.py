"""TensorBoard scalars and slice pictures of a run."""

from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


class Report:
    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def scalars(self, values: dict[str, float], iteration: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"loss/{name}", value, iteration)

    def pictures(self, name: str, volumes: Tensor, iteration: int) -> None:
        """(n, 1, D, H, W) in [-1, 1]: a row of three middle slices per volume."""
        rows = torch.cat([mid_planes(volume[0]) for volume in volumes.detach().float().cpu()])
        self._writer.add_image(name, ((rows + 1) / 2).clamp(0, 1)[None], iteration)


def mid_planes(volume: Tensor) -> Tensor:
    """(S, S, S) -> (S, 3 S): the middle slices across A0, A1 and A2 side by side."""
    middle = volume.shape[0] // 2
    return torch.cat([volume[middle], volume[:, middle], volume[:, :, middle]], dim=1)
