"""MEGAN's discriminators (section 2.2, figure 3; the released code): four convolutions over image and conditions.

LR's verdict is one channel here, where the code takes all 256 feature maps for verdicts (docs/decisions/0041).
"""

import torch
from torch import Tensor, nn

_SLOPE = 0.2


class LowCritic(nn.Module):
    """D_0: edges at twice the size, halved by a convolution, beside the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.halve = nn.Conv3d(1, 1, 3, stride=2, padding=1)
        self.body = nn.Sequential(
            *_layer(2, width, normed=False), *_layer(width, 2 * width), *_layer(2 * width, 4 * width)
        )
        self.verdict = nn.Conv3d(4 * width, 1, 3, padding=1)

    def forward(self, image: Tensor, edges: Tensor) -> Tensor:
        """(n, 1, d, h, w), (n, 1, 2d, 2h, 2w) -> logits (n, 1, d/8, h/8, w/8)."""
        verdict: Tensor = self.verdict(self.body(torch.cat([self.halve(edges), image], dim=1)))
        return verdict


class PatchCritic(nn.Module):
    """D_i, i > 0: edges, image and the coarser patch, which sees twice their view, as three channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, width, 4),
            nn.LeakyReLU(_SLOPE),
            *_layer(width, 2 * width, padding=0),
            *_layer(2 * width, 4 * width, padding=0),
            nn.Conv3d(4 * width, 1, 4, stride=2),
        )

    def forward(self, image: Tensor, conditions: Tensor) -> Tensor:
        """(n, 1, 32^3), (n, 2, 32^3) low and edges -> logits (n, 1, 1, 1, 1)."""
        low, edges = conditions.split(1, dim=1)  # type: ignore[no-untyped-call]
        verdict: Tensor = self.body(torch.cat([edges, image, low], dim=1))
        return verdict


def _layer(into: int, out: int, padding: int = 1, normed: bool = True) -> list[nn.Module]:
    norm = [nn.BatchNorm3d(out)] if normed else []
    return [nn.Conv3d(into, out, 4, stride=2, padding=padding), *norm, nn.LeakyReLU(_SLOPE)]
