"""A scan on its way to a network: window, blank slices, the model's grid, the network's range and axes."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from volumes.grids.grid import WHOLE, Extent, Grid, network_grid, resample
from volumes.intensity import Range, to_network_range, window_of
from volumes.orientation import to_network, trim_blank, with_orientation
from volumes.volume import Volume


@dataclass(frozen=True)
class Preparation:
    """What a network expects of a scan. `shape`, `spacing_mm`, `extent_mm` are in the network's axis order, `axes`."""

    shape: tuple[int, int, int]
    axes: str
    spacing_mm: tuple[float, float, float]
    network_range: Range = (-1.0, 1.0)
    placement: Literal["stretch", "head"] = "stretch"
    trim_blank_slices: bool = False
    window: Range | None = None
    """[low, high] in the scan's units; None takes `quantiles` of the scan."""
    quantiles: Range = (0.0, 0.997)
    extent_mm: Extent = WHOLE
    """Of the field of view, about its middle, what is stretched."""
    orientation: str | None = None
    """Axis codes that override a wrong affine's directions."""

    def array(self, scan: Volume) -> NDArray[np.float32]:
        """(A0, A1, A2) in the network's range. Raises: as `prepare`."""
        return prepare(scan, self).array


class SaysRange(Protocol):
    """The part of a card on intensities."""

    @property
    def network_range(self) -> Range: ...


class SaysHow(Protocol):
    """The part of a card on preprocessing; names and meanings are those of Preparation."""

    @property
    def placement(self) -> Literal["stretch", "head"]: ...
    @property
    def trim_blank_slices(self) -> bool: ...
    @property
    def window(self) -> Range | None: ...
    @property
    def quantiles(self) -> Range: ...
    @property
    def extent_mm(self) -> Extent: ...


class SaysGrid(Protocol):
    """A model's card, as far as a scan is concerned."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def axes(self) -> str: ...
    @property
    def spacing_mm(self) -> tuple[float, float, float]: ...
    @property
    def intensity(self) -> SaysRange: ...
    @property
    def preprocess(self) -> SaysHow: ...


def preparation_by(card: SaysGrid) -> Preparation:
    """How a scan comes to the network of a finished model."""
    how = card.preprocess
    return Preparation(
        shape=card.shape,
        axes=card.axes,
        spacing_mm=card.spacing_mm,
        network_range=card.intensity.network_range,
        placement=how.placement,
        trim_blank_slices=how.trim_blank_slices,
        window=how.window,
        quantiles=how.quantiles,
        extent_mm=how.extent_mm,
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as the network sees it, with what leads back to the scan."""

    array: NDArray[np.float32]
    """(A0, A1, A2) in the network's range."""
    scan: Volume
    """The scan's own voxels in the network's range, where the scan is."""
    grid: Grid
    """The place of the network's voxels in RAS order."""
    window: Range
    """The scan's values that became the ends of the network's range."""
    seen: Volume
    """The network's array in RAS order, at its place: what a reconstruction is compared with."""


def prepare(scan: Volume, how: Preparation) -> Prepared:
    """The preprocessing of the HA-GAN paper, section IV-A, as the card sets it: clip to a window, leave out blank axial
    slices, resample to the cube. Windowed first, so that a bright object does not bleed below the window's end.

    Raises:
        VolumeError: the scan is blank, or no head stands out where one is looked for.
    """
    if how.orientation is not None:
        scan = with_orientation(scan, how.orientation)
    low, high = how.window or window_of(scan.array, how.quantiles)
    windowed = Volume(to_network_range(scan.array, low, high, how.network_range), scan.affine)
    background = how.network_range[0]
    kept = trim_blank(windowed, background) if how.trim_blank_slices else windowed
    grid = network_grid(kept, how.shape, how.axes, how.spacing_mm, how.placement, how.extent_mm)
    border: Literal["clamp", "fade"] = "fade" if how.placement == "stretch" else "clamp"
    seen = resample(kept, grid, background, border=border)
    array: NDArray[np.float32] = to_network(seen.array, how.axes).astype(np.float32, copy=False)
    return Prepared(array, windowed, grid, (low, high), seen)
