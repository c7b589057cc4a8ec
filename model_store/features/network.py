"""What every feature network is, and how a volume comes to it."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, int, int]


class FeatureNetwork(Protocol):
    """From volumes to features, one row each: the same row for a volume alone and among others, up to rounding."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str:
        """Of the weights: figures of two digests are never compared."""

    @property
    def shape(self) -> Shape | None:
        """The grid (X, Y, Z) that volumes are brought to; None: their own."""

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, X, Y, Z) in [0, 1], RAS order, on `shape` -> (n, d) float32."""


def features_of(network: FeatureNetwork, unit: Tensor) -> Tensor:
    """(n, 1, X, Y, Z) in [0, 1], RAS order, any grid -> (n, d) float32 on the CPU."""
    if unit.ndim != 5 or unit.shape[1] != 1:
        raise ValueError(f"expected volumes (n, 1, X, Y, Z), got {tuple(unit.shape)}")
    with torch.inference_mode():
        at_size = unit if network.shape is None else resized(unit, network.shape)
        return network.features(at_size).float().cpu()


def resized(unit: Tensor, shape: Shape) -> Tensor:
    """(n, 1, ...) on another grid over the same place: means where it is coarser on all sides, else linearly."""
    if tuple(unit.shape[2:]) == shape:
        return unit
    sides = list(zip(shape, unit.shape[2:], strict=True))
    if all(old % new == 0 for new, old in sides):
        for axis, (new, _) in enumerate(sides, 2):  # the slowest axis first, whose sums run along the memory
            unit = unit.reshape(*unit.shape[:axis], new, -1, *unit.shape[axis + 1 :]).mean(axis + 1)
        return unit
    if all(new <= old for new, old in sides):
        return functional.adaptive_avg_pool3d(unit, shape)
    return functional.interpolate(unit, size=shape, mode="trilinear", align_corners=False)
