"""What can be wrong with a volume, by degrees, and where each puts it among the features of `distortion`.

Each distortion changes (64, 64, 64) in [0, 1] and says its coordinates: a place in 16 dimensions, in which whole
volumes of one anatomy lie together, and the worse one is, the farther it lies from them.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

COORDINATES = ("blur", "noise", "shuffled", "erased", "filled", "shapeless", "nothing", "blocks", "pattern", "ghost",
               "mirrored", "anatomy", "stripped", "lung", "bone", "emphysema")  # fmt: skip
Places = dict[str, float]
Distorted = tuple[Tensor, Places]
Random = np.random.Generator


def blurred(x: Tensor, random: Random) -> Distorted:
    """By a Gaussian of up to 4 voxels."""
    sigma = 4 * float(random.random()) ** 1.5
    return smooth(x, sigma), {"blur": 1.1 * math.log2(1 + sigma)}


def noisy(x: Tensor, random: Random) -> Distorted:
    """With independent noise, of either sign or (as in magnitude images) of its magnitude."""
    level = 0.3 * float(random.random()) ** 2
    made = x + level * gaussian(x, random)
    made = made.abs() if random.random() < 0.3 else made
    return made.clamp(0, 1), {"noise": 0.65 * math.log2(1 + level / 0.02)}


def shuffled(x: Tensor, random: Random) -> Distorted:
    """A share of its blocks change places."""
    side = int(random.choice([8, 16, 16, 32]))
    count = 64 // side
    share = float(random.random())
    chosen = random.permutation(count**3)[: max(2, round(share * count**3))]
    blocks = x.reshape(count, side, count, side, count, side).permute(0, 2, 4, 1, 3, 5).reshape(-1, side, side, side)
    made = blocks.clone()
    made[torch.from_numpy(chosen)] = blocks[torch.from_numpy(np.roll(chosen, 1))]
    made = made.reshape(count, count, count, side, side, side).permute(0, 3, 1, 4, 2, 5)
    return made.reshape(x.shape), {"shuffled": 2.4 * math.sqrt(len(chosen) / count**3)}


def erased(x: Tensor, random: Random) -> Distorted:
    """What lies in an ellipsoid, or in a box, becomes one grey."""
    centre, radii = random.uniform(-0.5, 0.5, 3), random.uniform(0.1, 0.8) * np.exp(random.normal(0, 0.2, 3))
    inside = solid(centre, radii, is_box=bool(random.random() < 0.3))
    own = float(x[inside].mean()) if inside.any() else 0.0
    grey = float(random.choice([0.0, float(x.mean()), own, random.random()]))
    body = x > 0.05
    share = float((inside & body).sum()) / max(1, int(body.sum()))
    return torch.where(inside, torch.tensor(grey), x), {"erased": 2.4 * math.sqrt(share)}


def filled(x: Tensor, random: Random) -> Distorted:
    """The body mixed with one grey, up to that grey alone."""
    share = float(random.choice([1.0, random.random()]))
    body = smooth(x, 1.5) > 0.08
    grey = x[body].mean() if body.any() else torch.tensor(0.0)
    return torch.where(body, x + share * (grey - x), x), {"filled": 2.6 * share}


def shapeless(x: Tensor, random: Random) -> Distorted:
    """An ellipsoid of one grey in the place of the body."""
    inside = solid(random.uniform(-0.15, 0.15, 3), random.uniform(0.4, 0.95, 3))
    grey = x[x > 0.05].mean() if random.random() < 0.5 else torch.tensor(random.uniform(0.2, 1.0))
    made = smooth(torch.where(inside, grey, torch.tensor(0.0)).float(), float(random.uniform(0, 1.5)))
    return made, {"filled": 2.6, "shapeless": 2.0, "anatomy": 0.0}


def nothing(x: Tensor, random: Random) -> Distorted:
    """Noise alone, of one kind or another; or one grey."""
    kind = int(random.integers(4))
    made = torch.from_numpy(random.random(x.shape, dtype=np.float32))
    if kind == 1:
        made = float(random.random()) + float(random.uniform(0.05, 0.4)) * gaussian(x, random)
    elif kind == 2:
        made = smooth(made, float(random.uniform(0.5, 3)))
        made = (made - made.min()) / (made.max() - made.min())
    elif kind == 3:
        made = torch.full_like(x, float(random.random()))
    return made.clamp(0, 1), {"nothing": 4.2, "anatomy": 0.0}


def blocky(x: Tensor, random: Random) -> Distorted:
    """Cubes of equal voxels, as of an image enlarged without interpolation."""
    side = int(random.choice([2, 4, 8]))
    small = F.avg_pool3d(x[None, None], side)
    return F.interpolate(small, scale_factor=side)[0, 0], {"blocks": 0.7 * math.log2(2 * side) - 0.2}


def patterned(x: Tensor, random: Random) -> Distorted:
    """A grid of a few voxels' period over it, as transposed convolutions leave."""
    level, period = 0.4 * float(random.random()) ** 1.5, int(random.choice([2, 2, 4, 8]))
    wave = torch.cos(2 * math.pi * torch.arange(64) / period)
    is_solid = random.random() < 0.5
    grid = wave[:, None, None] * wave[None, :, None] * wave if is_solid else wave.roll(period // 4)[None]
    made = x + level * grid * (x if random.random() < 0.5 else 0.5)
    return made.clamp(0, 1), {"pattern": 1.8 * math.sqrt(level / 0.4)}


def ghosted(x: Tensor, random: Random) -> Distorted:
    """Faint copies of it shifted along one axis, as of movement."""
    level, shift, axis = 0.8 * float(random.random()), int(random.integers(4, 28)), int(random.integers(3))
    copies = (x.roll(shift, axis) + x.roll(-shift, axis)) / 2
    return ((1 - level / 2) * x + level / 2 * copies).clamp(0, 1), {"ghost": 1.8 * math.sqrt(level / 0.8)}


def mirrored(x: Tensor, random: Random) -> Distorted:  # noqa: ARG001 -- one of the distortions
    """Left and right exchanged."""
    return x.flip(0), {"mirrored": 1.4}


KINDS: tuple[tuple[Callable[[Tensor, Random], Distorted], float], ...] = (
    (blurred, 5), (noisy, 4), (shuffled, 4), (erased, 4), (filled, 3), (shapeless, 2), (nothing, 2), (blocky, 1.5),
    (patterned, 1.5), (ghosted, 1.5), (mirrored, 1),
)  # fmt: skip
"""With how often each is drawn."""
AGAIN = 0.25
"""In this share of the cases a second one follows."""
ENDS = (shapeless, nothing)
"""After these nothing follows: there is no volume left to distort."""


def distorted(x: Tensor, places: Places, is_head: bool, random: Random) -> Distorted:
    """A random one; `places` are those of the whole volume. A head is as well mirrored."""
    weights = np.array([weight for _, weight in KINDS])
    made, found = x, dict(places)
    for _ in range(2 if random.random() < AGAIN else 1):
        change = KINDS[int(random.choice(len(KINDS), p=weights / weights.sum()))][0]
        if change is mirrored and is_head:
            continue
        made, at = change(made, random)
        if change in ENDS:
            return made, {**dict.fromkeys(found, 0.0), **at}
        found |= {name: max(found.get(name, 0.0), value) for name, value in at.items()}
    return made, found


def solid(centre: NDArray[np.float64], radii: NDArray[np.float64], is_box: bool = False) -> Tensor:
    """(64, 64, 64), in halves of the sides about the middle."""
    axes = [((torch.arange(64) + 0.5) / 32 - 1 - float(c)) / float(r) for c, r in zip(centre, radii, strict=True)]
    x, y, z = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    return torch.maximum(torch.maximum(x.abs(), y.abs()), z.abs()) < 1 if is_box else x * x + y * y + z * z < 1


def smooth(x: Tensor, sigma: float) -> Tensor:
    """By a Gaussian along each axis, the outermost voxels repeated."""
    return torch.from_numpy(ndimage.gaussian_filter(x.numpy(), sigma, mode="nearest", truncate=3.0))


def gaussian(x: Tensor, random: Random) -> Tensor:
    """Independent, of unit variance."""
    return torch.from_numpy(random.standard_normal(x.shape, dtype=np.float32))
