"""Inflation of 2D convolution weights to 3D (Liu et al. 2022, section III-B, eq. 3 to 7).

Each strategy is a pure function of w_2 (out, in, k, k) and of the weights that w_3 starts from (out, in, k, k, k); the
third dimension is the first spatial one. The center is tap 1 of the paper's three.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from model_store.sizes.split_shuffle import Architecture
from training.split_shuffle.config import Inflation

START_STD = 0.1
"""Of the Gaussian that w_3 starts from; the stored weights of these networks have standard deviation 1."""
T = 3
"""Of eq. 7."""


def inflate_1(w_2: Tensor, start: Tensor) -> Tensor:
    """Eq. 3: the center of one dimension."""
    w_3 = start.clone()
    w_3[:, :, _center(w_2)] = w_2
    return w_3


def inflate_2(w_2: Tensor, start: Tensor) -> Tensor:
    """Eq. 4: the center and the one before it."""
    w_3 = inflate_1(w_2, start)
    w_3[:, :, _center(w_2) - 1] = w_2
    return w_3


def inflate_3(w_2: Tensor, start: Tensor) -> Tensor:
    """Eq. 5: all of one dimension."""
    return w_2[:, :, None].expand_as(start).clone()


def inflate_asc(w_2: Tensor, start: Tensor) -> Tensor:
    """Eq. 6: the central plane of each dimension, one after the other; where planes meet the last one stays."""
    w_3, center = start.clone(), _center(w_2)
    w_3[:, :, center] = w_2
    w_3[:, :, :, center] = w_2
    w_3[:, :, :, :, center] = w_2
    return w_3


def inflate_nwi(w_2: Tensor, start: Tensor) -> Tensor:
    """Eq. 7: (2T - 1) / T in the center, -1 / T elsewhere."""
    alpha = w_2.new_full((start.shape[2],), -1 / T)
    alpha[_center(w_2)] = (2 * T - 1) / T
    return alpha.view(-1, 1, 1) * w_2[:, :, None]


STRATEGIES: Mapping[Inflation, Callable[[Tensor, Tensor], Tensor]] = {
    "inflate-1": inflate_1,
    "inflate-2": inflate_2,
    "inflate-3": inflate_3,
    "inflate-asc": inflate_asc,
    "inflate-nwi": inflate_nwi,
}


def _center(w_2: Tensor) -> int:
    return w_2.shape[-1] // 2


def inflate(flat: Mapping[str, Tensor], architecture: Architecture, strategy: Inflation, source: torch.Generator,
            start_std: float = START_STD) -> dict[str, Tensor]:  # fmt: skip
    """The state of a 3D Split&Shuffle generator or discriminator from that of the 2D one.

    Convolutions are inflated by `strategy`, those of one tap taken as they are. Layers that the equations do not speak
    of keep what the 2D network does on a volume whose slices are all alike: the constant stands in every slice, and
    the discriminator's dense layer reads the mean over the slices. All else is the same in both.

    Args:
        flat: state_dict of the network with `architecture.flat()`, on any device.
        source: draws what w_3 starts from, N(0, start_std), on the CPU.
    """
    inflated = {}
    for key, value in flat.items():
        if key == "synthesis.constant":
            inflated[key] = value[:, None].repeat(1, architecture.base[0], 1, 1)
        elif key == "dense.weight":
            inflated[key] = _averaged(value, architecture)
        elif value.ndim == 4 and value.shape[-1] > 1:
            cube = *value.shape[:2], *(value.shape[-1],) * 3
            start = start_std * torch.randn(cube, generator=source).to(value)
            # The generator demodulates its weights, so that their scale is free. The discriminator's act divided by the
            # root of their fan-in, which has grown by the kernel's edge.
            demodulated = key.startswith("synthesis.")
            inflated[key] = STRATEGIES[strategy](value if demodulated else value * math.sqrt(value.shape[-1]), start)
        else:
            inflated[key] = value[:, :, None].clone() if value.ndim == 4 else value.clone()
    return inflated


def _averaged(dense: Tensor, architecture: Architecture) -> Tensor:
    """The dense weight (out, c * h * w) for (out, c * depth * h * w): its sum over equal slices is the 2D one's.

    Stored weights act divided by the root of the fan-in, here `depth` times as large.
    """
    out, depth = len(dense), architecture.base[0]
    planes = dense.view(out, architecture.channels, 1, -1).expand(-1, -1, depth, -1)
    return planes.reshape(out, -1) / math.sqrt(depth)
