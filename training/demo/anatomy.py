"""A latent that means something: each axis of z says how a scan was chosen, shaped and lit.

For a start with a handful of scans (docs/decisions/0008). z is drawn from N(0, I); its axes name a scan and a
deformation of it, so that the pair (z, deformed scan) supervises the generator, and its inverse the encoder.
Millimetres are on the card's grid, axes (A0, A1, A2) = (inferior, anterior, left), from the centre of the box. The
affine part is built with MONAI's matrices; the smooth elastic part and the ventricle field are ours.
"""

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.transforms.utils import create_rotate, create_scale, create_translate
from torch import Tensor

AXES = {"size": slice(0, 1), "length": slice(1, 2), "brightness": slice(2, 3), "subject": slice(3, 4)}
"""What each stretch of z means."""
DEFORMING = slice(0, 3)
"""The axes that shape and light a scan; the other one names it."""
LATENT_DIM = 4
STRIPPED_MEAN = 5.0
"""Skull-stripped scans lie this far out along the subject's axis, so that samples of N(0, I) are whole heads."""

_SIZE, _LENGTH, _BRIGHTNESS = 0.008, 0.008, 0.07
_MODES = [k for k in itertools.product(range(3), repeat=3) if 1 <= sum(k) <= 2] + [(1, 1, 1)]
_VERTEX_MM = -96.0  # heads grow and shrink about the vertex, because scans are placed by it
VENTRICLES_MM = (-25.0, -4.0, 0.0)
VENTRICLE_SIGMA_MM = (20.0, 34.0, 24.0)


@dataclass(frozen=True)
class Deformation:
    """What is done to a scan. Angles in degrees about A0, A1, A2; lengths in mm."""

    rotation_deg: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    translation_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    ventricles: float = 0.0
    """In (-0.8, 0.8): how far the ventricles are widened; the magnification at their centre is 1 / (1 - ventricles)."""
    elastic_mm: Tensor | None = None
    """(10, 3) amplitudes of the cosine modes."""
    gamma: float = 1.0
    gain: float = 1.0


def deformation_of(z: Tensor) -> Deformation:
    """(4,) -> the deformation that its axes describe."""
    size, length, brightness = z[DEFORMING].tolist()
    grown = math.exp(_SIZE * size)
    return Deformation(
        scale=(grown, grown * math.exp(_LENGTH * length), grown), gain=math.exp(_BRIGHTNESS * brightness)
    )


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


def _matrix(deformation: Deformation) -> Tensor:
    """(3, 4): box millimetres of the result to box millimetres of the scan."""
    rotate = create_rotate(3, [math.radians(a) for a in deformation.rotation_deg])
    scale = create_scale(3, [1 / s for s in deformation.scale])
    shift = create_translate(3, [-t for t in deformation.translation_mm])
    from_vertex, to_vertex = create_translate(3, [_VERTEX_MM, 0, 0]), create_translate(3, [-_VERTEX_MM, 0, 0])
    matrix = from_vertex @ scale @ to_vertex @ rotate @ shift
    return torch.as_tensor(matrix, dtype=torch.float32)[:3]


def _elastic_field(amplitudes_mm: Tensor, normalised: Tensor) -> Tensor:
    """Cosine modes: (m, 3) and (d, h, w, 3) in [-1, 1] -> (d, h, w, 3) mm."""
    axes = [normalised[:, 0, 0, 0], normalised[0, :, 0, 1], normalised[0, 0, :, 2]]
    waves = [torch.stack([torch.cos(math.pi * k * (a + 1) / 2) for k in range(3)], dim=1) for a in axes]
    amplitudes = normalised.new_zeros(3, 3, 3, 3)
    for mode, amplitude in zip(_MODES, amplitudes_mm, strict=True):
        amplitudes[mode] = amplitude
    along_first = torch.einsum("di,ijkc->djkc", waves[0], amplitudes)
    along_second = torch.einsum("hj,djkc->dhkc", waves[1], along_first)
    return torch.einsum("wk,dhkc->dhwc", waves[2], along_second)


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
    half = torch.tensor(box_mm) / 2
    axes = [(torch.arange(n) + 0.5) / n * 2 - 1 for n in shape]
    axes[0] = axes[0][start : start + count]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    found = points * half
    if deformation.elastic_mm is not None:
        found = found + _elastic_field(deformation.elastic_mm, points)
    matrix = _matrix(deformation)
    found = found @ matrix[:, :3].T + matrix[:, 3]
    if deformation.ventricles:
        offset = found - torch.tensor(VENTRICLES_MM)
        weight = torch.exp(-((offset / torch.tensor(VENTRICLE_SIGMA_MM)) ** 2).sum(-1, keepdim=True) / 2)
        found = found - deformation.ventricles * weight * offset
    return (found / half).flip(-1)


def deform(volume: Tensor, deformation: Deformation, shape: tuple[int, int, int], box_mm: tuple[float, float, float],
           start: int = 0, slices: int | None = None) -> Tensor:  # fmt: skip
    """(1, D, H, W) in [0, 1] -> (1, d, A1, A2) in [-1, 1]; zero outside the scan's box."""
    grid = sampling_grid(deformation, shape, box_mm, start, slices)
    out = F.grid_sample(volume[None], grid[None], align_corners=False, padding_mode="zeros")[0]
    return (out.clamp_min(0) ** deformation.gamma * deformation.gain).clamp(0, 1) * 2 - 1
