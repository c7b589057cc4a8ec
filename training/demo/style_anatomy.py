"""The latent that the shipped style model starts from: each axis of z says how a head was chosen, placed, shaped, lit.

As anatomy.py does for the HA-GAN demo, but in two groups: geometry, which the styles of the coarse layers carry, and
appearance, which those of the finer layers carry, so that style mixing has one right answer (docs/decisions/0022).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from training.demo.anatomy import Deformation, deform

AXES = {"rotation": slice(0, 3), "size": slice(3, 4), "proportions": slice(4, 7), "position": slice(7, 10),
        "ventricles": slice(10, 11), "subject": slice(11, 13), "elastic": slice(13, 28), "contrast": slice(28, 29),
        "brightness": slice(29, 30), "tone": slice(30, 31)}  # fmt: skip
"""What each stretch of z means."""
LATENT_DIM = 31
APPEARANCE = 28
"""The first axis of the appearance; those before are geometry."""
SUBJECTS = 3

_ROTATION_DEG = (1.0, 0.8, 1.0)
_POSITION_MM = (0.6, 0.6, 0.6)
_ELASTIC_MM = 0.25
_ELASTIC_MODES = (1, 3, 5, 8, 9)
"""Of the ten cosine modes of anatomy.py."""


def draw(count: int, source: torch.Generator, spread: float = 1.0) -> Tensor:
    """(n, 31) latents from N(0, spread^2 I), cut at 3.5."""
    return (spread * torch.randn(count, LATENT_DIM, generator=source)).clamp(-3.5, 3.5)


def mixed(geometry: Tensor, appearance: Tensor) -> Tensor:
    """(31,) latents: the geometry of one with the appearance of the other."""
    return torch.cat([geometry[:APPEARANCE], appearance[APPEARANCE:]])


def subject(z: Tensor) -> int:
    """(31,) -> which scan: the axes' plane is cut into equal sectors about the corners of a triangle."""
    centred = torch.eye(SUBJECTS) - 1 / SUBJECTS
    basis = torch.linalg.svd(centred)[0][:, : SUBJECTS - 1]
    return int((F.normalize(centred @ basis, dim=1) @ z[AXES["subject"]]).argmax())


def deformation_of(z: Tensor) -> Deformation:
    """(31,) -> the deformation that its geometric axes describe; gamma and gain of its appearance."""

    def scaled(axis: str, sigmas: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(s * float(v) for s, v in zip(sigmas, z[AXES[axis]], strict=True))

    size = 0.022 * float(z[AXES["size"]])
    elastic = z.new_zeros(10, 3)
    elastic[list(_ELASTIC_MODES)] = _ELASTIC_MM * z[AXES["elastic"]].reshape(len(_ELASTIC_MODES), 3)
    return Deformation(
        rotation_deg=scaled("rotation", _ROTATION_DEG),
        scale=tuple(math.exp(size + s) for s in scaled("proportions", (0.01, 0.01, 0.01))),
        translation_mm=scaled("position", _POSITION_MM),
        ventricles=0.4 * math.tanh(0.5 * float(z[AXES["ventricles"]])),
        elastic_mm=elastic,
        gamma=math.exp(0.25 * float(z[AXES["contrast"]])),
        gain=math.exp(0.08 * float(z[AXES["brightness"]])),
    )


class Heads:
    """Prepared heads in [0, 1] on one grid, and what a latent makes of them at any stage of the network."""

    def __init__(self, scans: list[Tensor], box_mm: tuple[float, float, float]) -> None:
        """`scans`: (2 S, 2 S, 2 S) float32 each, twice the network's resolution."""
        self.box_mm, self.size = box_mm, scans[0].shape[0] // 2
        self._levels = {2 * self.size: [scan[None] for scan in scans]}

    def of(self, z: Tensor, edge: int) -> Tensor:
        """What z (31,) describes: (1, edge, edge, edge) in [0, 1], read from scans of twice that resolution."""
        if 2 * edge not in self._levels:
            factor = self.size // edge
            self._levels[2 * edge] = [F.avg_pool3d(scan, factor) for scan in self._levels[2 * self.size]]
        scan = self._levels[2 * edge][subject(z)]
        unit = (deform(scan, deformation_of(z), (edge, edge, edge), self.box_mm) + 1) / 2
        # Tone: the middle greys go up or down against both ends.
        return (unit + 0.06 * float(z[AXES["tone"]]) * torch.sin(2 * math.pi * unit)).clamp(0, 1)
