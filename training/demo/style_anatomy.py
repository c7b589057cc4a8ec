"""The latent that the shipped style model starts from: which head, of what shape, and how it is lit.

Geometry, which the styles of the coarse layers carry, and appearance, which those of the finer layers carry, so that
style mixing has one right answer (docs/decisions/0022). The first four attributes are anatomy.py's.
"""

import math

import torch
from torch import Tensor

from training.demo import anatomy
from training.demo.warm_start import Scans

ATTRIBUTES = {"size": 0, "length": 1, "brightness": 2, "subject": 3, "contrast": 4, "tone": 5}
"""Places among the attributes, each N(0, 1)."""
APPEARANCE = [ATTRIBUTES[name] for name in ("brightness", "contrast", "tone")]
_SHAPE = [ATTRIBUTES[name] for name in ("size", "length")]
_AXES_EACH = 4
LATENT_DIM = _AXES_EACH * len(ATTRIBUTES)
_FURTHEST = 3.0
_REACH = 3.0
"""The length in w of what names a head, which is to weigh more than what shapes it."""
_CONTRAST, _TONE = 0.25, 0.06
_APART = 1.5
"""How far apart the shares of a blend of heads are: deviation before softmax."""


def draw(count: int, source: torch.Generator) -> Tensor:
    """(n, 24) latents from N(0, I)."""
    return torch.randn(count, LATENT_DIM, generator=source)


def attributes_of(z: Tensor) -> Tensor:
    """(n, 24) -> (n, 6): each the sum of four axes over two, so N(0, 1) again, cut at 3."""
    summed: Tensor = z.view(len(z), -1, _AXES_EACH).sum(2) / _AXES_EACH**0.5
    return summed.clamp(-_FURTHEST, _FURTHEST)


def milder(attributes: Tensor, share: float) -> Tensor:
    """(n, 6) of the same heads, each shaped and lit `share` times as far."""
    factors = torch.full((len(ATTRIBUTES),), share)
    factors[ATTRIBUTES["subject"]] = 1.0
    return attributes * factors


class Heads:
    """What attributes make of some scans, and where they lie in w."""

    def __init__(self, scans: Scans) -> None:
        """Whole heads, at twice the model's resolution."""
        self.scans = scans
        self.geometry = scans.whole * (1 + len(_SHAPE))
        self.w_dim = self.geometry + len(APPEARANCE)

    def of(self, attributes: Tensor, edge: int, place: int | None = None) -> Tensor:
        """(6,) -> (1, edge, edge, edge) in [0, 1]. `place`: of another scan than the attributes name."""
        unit = (self.scans.of(attributes[: anatomy.LATENT_DIM], edge, place) + 1) / 2
        return self._lit(unit, attributes)

    def _lit(self, unit: Tensor, attributes: Tensor) -> Tensor:
        """Contrast is a power; tone moves the middle greys up or down against both ends."""
        unit = unit ** math.exp(_CONTRAST * float(attributes[ATTRIBUTES["contrast"]]))
        tone = _TONE * float(attributes[ATTRIBUTES["tone"]])
        return (unit + tone * torch.sin(2 * math.pi * unit)).clamp(0, 1)

    def styles(self, attributes: Tensor) -> Tensor:
        """(n, 6) -> w, (n, w_dim): what names the head, what shapes each head, what lights it.

        A head's shape has places of its own, so that a style that is linear in w can shape each head in its own way.
        """
        ends = torch.tensor(anatomy.boundaries(self.scans.whole, 0))
        index = torch.bucketize(attributes[:, ATTRIBUTES["subject"]].contiguous(), ends, right=True)
        named = torch.eye(self.scans.whole)[index]
        shapes = torch.cat([attributes.new_full((len(attributes), 1), _REACH), attributes[:, _SHAPE]], 1)
        shaped = named[:, :, None] * shapes[:, None]
        return torch.cat([shaped.flatten(1), attributes[:, APPEARANCE]], 1)

    def blended(self, styles: Tensor, source: torch.Generator) -> Tensor:
        """(n, w_dim) -> the same mixed with the other heads, of which each has less of it than the one it was.

        The second most comes from the next head in order: any two would ask more of the encoder's few dense units.
        """
        count, heads = len(styles), self.scans.whole
        geometry = styles[:, : self.geometry].view(count, heads, -1)
        shares = torch.softmax(_APART * torch.randn(count, heads, generator=source), 1).sort(1, descending=True).values
        shares[: count // 3] = torch.eye(heads)[0]
        places = (geometry[:, :, 0].argmax(1)[:, None] + torch.arange(heads)) % heads
        by_head = torch.zeros(count, heads).scatter(1, places, shares)
        return torch.cat(
            [(by_head[:, :, None] * geometry.sum(1, keepdim=True)).flatten(1), styles[:, self.geometry :]], 1
        )
