"""A latent that means something: each axis of z says how a scan was chosen, shaped and lit.

For a start with a handful of scans (docs/decisions/0008). z is drawn from N(0, I); its axes name a scan and a
deformation of it, so that the pair (z, deformed scan) supervises the generator, and its inverse the encoder.
Millimetres are on the card's grid, axes (A0, A1, A2) = (inferior, anterior, left), from the centre of the box.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

AXES = {"size": slice(0, 1), "length": slice(1, 2), "brightness": slice(2, 3), "subject": slice(3, 4)}
"""What each stretch of z means."""
DEFORMING = slice(0, 3)
"""The axes that shape and light a scan; the other one names it."""
LATENT_DIM = 4
STRIPPED_MEAN = 5.0
"""Skull-stripped scans lie this far out along the subject's axis, so that samples of N(0, I) are whole heads."""

_SIZE, _LENGTH, _BRIGHTNESS = 0.008, 0.008, 0.07
_BEND = 0.08
"""In halves of an edge."""
_SHORTEST_VIEW = 0.6
"""Of the box, from the vertex down."""
_STRETCHES, _TONE = 6, 0.6
"""Of equal width, that a curve of tones is made of; by how much the logarithms of their heights vary."""
_VERTEX_MM = -96.0
"""Heads grow and shrink about the vertex, because scans are placed by it."""


@dataclass(frozen=True)
class Deformation:
    """What is done to a scan."""

    scale: tuple[float, float, float]
    gain: float


def deformation_of(z: Tensor) -> Deformation:
    """(4,) -> the deformation that its axes describe."""
    size, length, brightness = z[DEFORMING].tolist()
    grown = math.exp(_SIZE * size)
    return Deformation((grown, grown * math.exp(_LENGTH * length), grown), math.exp(_BRIGHTNESS * brightness))


def milder(z: Tensor, share: float) -> Tensor:
    """(n, 4) of the same scans, each deformed `share` times as far."""
    factors = torch.ones(LATENT_DIM)
    factors[DEFORMING] = share
    return z * factors


def subject_of(z: Tensor, whole: int, stripped: int) -> tuple[bool, int]:
    """(4,) -> (skull-stripped?, index in its group).

    The subject's axis is cut into stretches, so every z names one scan and a sample never asks for a mixture of two.
    """
    is_stripped = stripped > 0 and float(z[AXES["subject"]]) > STRIPPED_MEAN / 2
    count, mean = (stripped, STRIPPED_MEAN) if is_stripped else (whole, 0.0)
    below = 0.5 * (1 + math.erf((float(z[AXES["subject"]]) - mean) / math.sqrt(2)))
    return is_stripped, min(count - 1, int(count * below))


def boundaries(whole: int, stripped: int) -> list[float]:
    """Where on the subject's axis one scan ends and the next one begins."""

    def within(count: int, mean: float) -> list[float]:
        return _quantiles(torch.arange(1, count) / count, mean)

    if not stripped:
        return within(whole, 0.0)
    return [*within(whole, 0.0), STRIPPED_MEAN / 2, *within(stripped, STRIPPED_MEAN)]


def middles(whole: int, stripped: int) -> list[float]:
    """Where on the subject's axis each scan's median sample lies."""
    groups = ((whole, 0.0), (stripped, STRIPPED_MEAN))
    return [at for count, mean in groups for at in _quantiles((torch.arange(count) + 0.5) / max(1, count), mean)]


def _quantiles(shares: Tensor, mean: float) -> list[float]:
    """Of N(mean, 1)."""
    found: list[float] = (mean + math.sqrt(2) * torch.erfinv(2 * shares - 1)).tolist()
    return found


def draw(count: int, generator: torch.Generator, stripped_share: float, spread: float = 1.0) -> Tensor:
    """(n, 4) latents: N(0, spread^2 I), of which a share is moved to the skull-stripped mean."""
    z = (spread * torch.randn(count, LATENT_DIM, generator=generator)).clamp(-3.5, 3.5)
    moved = torch.rand(count, generator=generator) < stripped_share
    z[:, AXES["subject"]] += STRIPPED_MEAN * moved[:, None].float()
    return z


def sampling_grid(deformation: Deformation, shape: tuple[int, int, int], box_mm: tuple[float, float, float],
                  start: int = 0, slices: int | None = None) -> Tensor:  # fmt: skip
    """Where each voxel of the result is found in the scan, for `grid_sample(align_corners=False)`.

    Args:
        shape: (A0, A1, A2) of the whole grid; `slices` of A0 from `start` on are made (all where None).
        box_mm: edge lengths of the box that both grids fill.

    Returns:
        (d, A1, A2, 3) normalised coordinates, last axis ordered (A2, A1, A0).
    """
    count = shape[0] if slices is None else slices
    fixed = (_VERTEX_MM / box_mm[0] * 2, 0.0, 0.0)
    axes = [(torch.arange(n) + 0.5) / n * 2 - 1 for n in shape]
    axes[0] = axes[0][start : start + count]
    found = [at + (axis - at) / scale for axis, at, scale in zip(axes, fixed, deformation.scale, strict=True)]
    return torch.stack(torch.meshgrid(*found, indexing="ij")[::-1], dim=-1)


def deform(volume: Tensor, deformation: Deformation, shape: tuple[int, int, int], box_mm: tuple[float, float, float],
           start: int = 0, slices: int | None = None) -> Tensor:  # fmt: skip
    """(1, D, H, W) in [0, 1] -> (1, d, A1, A2) in [-1, 1]; zero outside the scan's box."""
    grid = sampling_grid(deformation, shape, box_mm, start, slices)
    out = F.grid_sample(volume[None], grid[None], align_corners=False, padding_mode="zeros")[0]
    return (out * deformation.gain).clamp(0, 1) * 2 - 1


def bent(volume: Tensor, source: torch.Generator) -> Tensor:
    """(1, e, e, e) -> the same under a smooth displacement, N(0, 4% of an edge) at 4^3 points: other people's shape."""
    shape = volume.shape[1:]
    corners = _BEND * torch.randn(1, 3, 4, 4, 4, generator=source)
    displacement = F.interpolate(corners, size=shape, mode="trilinear", align_corners=True)[0]
    straight = F.affine_grid(torch.eye(3, 4)[None], [1, 1, *shape], align_corners=False)
    return F.grid_sample(volume[None], straight + displacement.movedim(0, -1), align_corners=False)[0]


def cropped(volume: Tensor, source: torch.Generator) -> Tensor:
    """(1, e, e, e) in [0, 1] -> half of them with air from some slice of A0 on: where a field of view ends."""
    whether, depth = torch.rand(2, generator=source).tolist()
    share = 1.0 if whether < 0.5 else _SHORTEST_VIEW + (1 - _SHORTEST_VIEW) * depth
    seen = round(share * volume.shape[1])
    return F.pad(volume[:, :seen], (0, 0, 0, 0, 0, volume.shape[1] - seen))


def toned(volume: Tensor, source: torch.Generator) -> Tensor:
    """The same shape in [0, 1] -> through a rising curve of straight stretches from 0 to 1: another contrast."""
    heights = torch.exp(_TONE * torch.randn(_STRETCHES, generator=source)).cumsum(0)
    curve = F.pad(heights / heights[-1], (1, 0))
    at = volume * _STRETCHES
    below = at.floor().clamp(0, _STRETCHES - 1).long()
    return torch.lerp(curve[below], curve[below + 1], at - below)
