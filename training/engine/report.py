"""TensorBoard scalars and slice pictures of a run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from model_store.folder import replacing

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iterations done, of how many, losses)."""


class Findings(Protocol):
    """Something to be told of a run, for people."""

    def lines(self) -> Iterator[str]:
        """Most of them one fact."""

    def warnings(self) -> Iterator[str]:
        """What may not be meant."""


Told = Callable[[Findings], None]


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

    def pictures(self, name: str, volumes: Tensor, iteration: int, file: Path) -> None:
        """(n, 1, D, H, W) in [-1, 1]: a row of three middle slices per volume; (n, 1, H, W): the slices themselves.

        Args:
            file: PNG of the same, for those without TensorBoard.
        """
        shown = [image[0] for image in volumes.detach().float().cpu()]
        rows = torch.cat([mid_planes(image) if image.ndim == 3 else image for image in shown])
        greys = ((rows + 1) / 2).clamp(0, 1)
        self._writer.add_image(name, greys[None], iteration)
        with replacing(file) as partial:
            Image.fromarray((greys * 255).round().to(torch.uint8).numpy()).save(partial, "PNG")


def mid_planes(volume: Tensor) -> Tensor:
    """(D, H, W) -> (max(D, H), 2 W + H): the middle slices across A0, A1 and A2 side by side, short ones filled."""
    depth, height, width = volume.shape
    planes = volume[depth // 2], volume[:, height // 2], volume[:, :, width // 2]
    tall = max(depth, height)
    return torch.cat([F.pad(plane, (0, 0, 0, tall - plane.shape[0]), value=-1.0) for plane in planes], dim=1)
