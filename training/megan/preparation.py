"""A scan of the target domain as MEGAN is trained on it: image and edges on the finest canvas."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model_store.networks.lines import interpolation, planes
from volumes.edges import LABELS, Canny, draw_edges, finite_range, with_mask
from volumes.grids.canvas import foreground_box, lay_canvas
from volumes.intensity import Range, to_network_range, window_of
from volumes.orientation import reorient
from volumes.volume import Volume, VolumeError, on_one_grid

QUANTILES = (0.0, 0.997)
"""Of an MR scan, that become -1 and 1."""
_KNOTS = np.linspace(0, 1, 6)
"""Values of a scan that get another brightness; between them it changes in proportion."""


@dataclass(frozen=True)
class Drawn:
    """How a scan is drawn. The same canvas and edges are made of a scan that is to be translated."""

    axes: str
    grid: Literal["scan", "cube"]
    lr_size: int
    doublings: int
    window: Range | None
    sigma: float
    low: float
    high: float
    contrasts: int = 0
    network_range: Range = (-1.0, 1.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The finest cube; in true proportions its shorter sides are less."""
        side = self.lr_size << self.doublings
        return side, side, side

    def array(self, scan: Volume) -> NDArray[np.float32]:
        """As `laid`, of a scan without a mask. Raises: VolumeError."""
        return self.laid(scan, None)

    def laid(self, scan: Volume, mask: Volume | None) -> NDArray[np.float32]:
        """(2 + contrasts, A0, A1, A2): image, its edges, and those of the image in other contrasts, all in [-1, 1].

        A domain is translated from by its edges alone, and each sequence shows others: what is dark in one is bright
        in another, and two tissues differ or do not. A mask of pathologies lies over all edges, as over those of an
        uploaded scan.

        Raises:
            VolumeError: no edges, too few voxels for so many scales, or a mask of another grid or other values.
        """
        seen = reorient(scan, self.axes)
        box = foreground_box(seen.array, self.window[0] if self.window else finite_range(seen.array)[0])
        canvas = lay_canvas(box, seen.spacing_mm, self.grid, self.lr_size, self.doublings)
        if canvas.doublings < self.doublings:
            raise VolumeError("The scan has too few voxels for so many scales.")
        inside = seen.array[box]
        how = Canny(self.sigma, self.low, self.high)
        image = to_network_range(inside, *(self.window or window_of(inside, QUANTILES)), self.network_range)
        edges = [draw_edges(inside, how, self.window)]
        edges += [draw_edges(_recoloured(image, seed), how, (0.0, 1.0)) for seed in range(self.contrasts)]
        if mask is not None:
            labels = reorient(mask, self.axes).array[box]
            edges = [with_mask(drawn, labels) for drawn in edges]
            edges.append(with_mask(np.zeros_like(edges[0]), labels))
        spans = zip(canvas.spans, canvas.shape, box, strict=True)
        a0, a1, a2 = (
            interpolation(torch.linspace(*span, side, dtype=torch.float64) - part.start, part.stop - part.start)
            for span, side, part in spans
        )
        parts = [torch.from_numpy(image) + 1, *(torch.from_numpy(drawn) / 127.5 for drawn in edges)]
        # 0 is background, and beyond the box
        laid = [planes(part, (a0, a1, a2), 0, len(a0)) - 1 for part in parts]
        stacked: NDArray[np.float32] = torch.stack(laid).numpy()
        return stacked


@dataclass(frozen=True)
class DrawnWithMasks(Drawn):
    """The same of scans that may have masks of pathologies: one array more says where those lie."""

    labels: int = LABELS

    def array(self, scan: Volume) -> NDArray[np.float32]:
        """(3 + contrasts, A0, A1, A2): as without masks, and -1 everywhere. Raises: VolumeError."""
        return self.laid(scan, Volume(np.zeros(scan.shape, dtype=np.uint8), scan.affine))

    def masked_array(self, scan: Volume, mask: Volume) -> NDArray[np.float32]:
        """(3 + contrasts, A0, A1, A2): the last one is the mask as it is drawn over edges. Raises: VolumeError."""
        if not on_one_grid(scan, mask):
            raise VolumeError("The mask does not lie on the scan's grid: shape and affine must be the same.")
        return self.laid(scan, mask)


def _recoloured(image: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """An image in [-1, 1] with random brightnesses in [0, 1] for its values, of which the least stays 0."""
    random = np.random.default_rng(seed)
    brightness = np.concatenate([[0.0], random.uniform(0, 1, len(_KNOTS) - 1)])
    changed: NDArray[np.float32] = np.interp((image + 1) / 2, _KNOTS, brightness).astype(np.float32)
    return changed
