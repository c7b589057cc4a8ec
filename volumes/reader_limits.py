"""What the strict readers share: the limits, the checked header, and how far a header may reach."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from volumes.assumptions import OF_PLACE
from volumes.grids.field_of_view import MAX_SIDE
from volumes.volume import Affine, VolumeError

Codec = Literal["raw", "gzip", "zlib", "text", "hex"]

MAX_HEADER_BYTES = 4 * 2**20
"""Up to the first voxel: whole DICOM headers lie in extensions, and Slicer's segments in keys."""
MAX_HEADER_LINES = 65_536
MAX_FIELD_CHARS = 4096
"""Of a field that has a say in where the voxels lie or what they are."""
MAX_TRAILING_BYTES = 2**20
"""After the last voxel: padding, FreeSurfer's tags, a second header."""
MAX_MEMBERS = 2**17
"""Of one gzip file: bgzip makes one of each 64 KiB."""
MAX_PROVENANCE_BYTES, MAX_ENTRY_BYTES = 48 * 1024, 1024
MAX_SCALE = 1e30
SEND_ONE_FILE = (
    "Send both as one: the command line and the Python client do so, over HTTP two parts named volume do; or save it "
    "as one file, such as .nii.gz."
)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Marking:
    """What a written file says about itself beside its voxels."""

    window: tuple[float, float] | None = None
    """Display window in stored units."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready: the model and what made the sample."""
    slope: float = 1.0
    """What one step of the stored numbers is worth, for the formats that can say so."""
    modality: str = ""
    """As the model's card has it."""
    units: str = ""
    """Of the values, "HU" for CT; of [0, 1] none."""

    @property
    def is_ct(self) -> bool:
        return self.modality == "CT"

    @property
    def is_assumed(self) -> bool:
        """Whether the place was assumed, in part, where the scan that the volume lies on left it open."""
        return not OF_PLACE.isdisjoint(self.provenance.get("assumed", ()))

    @property
    def description(self) -> str:
        """One short line of ASCII for people."""
        return f"synthetic; voxelsmith; {self.provenance.get('model', '')}".encode("ascii", "replace")[:79].decode()

    @property
    def text(self) -> str:
        """The provenance as ASCII JSON that fits a header."""
        return self.text_within(MAX_PROVENANCE_BYTES)

    def text_within(self, most_bytes: int) -> str:
        """The provenance as ASCII JSON; of a longer one (a style latent) the short entries, marked as abridged. The
        job's provenance.json has it in full."""
        text = json.dumps(self.provenance, sort_keys=True, allow_nan=False)
        if len(text) <= most_bytes:
            return text
        short = {name: value for name, value in self.provenance.items() if len(json.dumps(value)) <= MAX_ENTRY_BYTES}
        return json.dumps({**short, "abridged": True}, sort_keys=True, allow_nan=False)


@dataclass(frozen=True)
class Limits:
    """Absolute caps on what one file may claim, checked before anything of that size is made."""

    max_voxels: int = 512**3
    max_bytes: int = 2 * 2**30
    """Of the decompressed file."""


LARGEST = Limits(max_voxels=MAX_SIDE**3, max_bytes=32 * 2**30)
"""The user's own files, not uploads: a thorax in thin slices has more than 512 of them."""


@dataclass(frozen=True, eq=False)
class Header:
    """A checked header. The voxels follow `data_offset`, X fastest."""

    format: str
    """Its name in the table of formats."""
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    """As stored, byte order included."""
    affine: Affine
    """(4, 4), voxel -> RAS+ mm."""
    data_offset: int
    """Of the first voxel: in the decompressed bytes for nii.gz and mgz, else in the file."""
    codec: Codec
    """How the bytes from there on are packed (for nii.gz and mgz: the whole file)."""
    slope: float = 1.0
    intercept: float = 0.0
    assumed: tuple[str, ...] = ()
    """What the header leaves open and how it was taken, in sentences."""

    @property
    def voxels(self) -> int:
        return math.prod(self.shape)

    @property
    def data_bytes(self) -> int:
        return self.voxels * self.dtype.itemsize

    @property
    def is_scaled(self) -> bool:
        return (self.slope, self.intercept) != (1.0, 0.0)


def checked_shape(sides: list[int], bytes_per_voxel: int, limits: Limits) -> tuple[int, int, int]:
    """Three sides within 1..1024 whose product is within the limits.

    Raises:
        VolumeError: otherwise.
    """
    if len(sides) != 3:
        dimensions = "1 dimension" if len(sides) == 1 else f"{len(sides)} dimensions"
        raise VolumeError(f"The file must hold one three-dimensional volume; it has {dimensions}.")
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise VolumeError(f"Each side of the volume must be 1 to {MAX_SIDE} voxels long.")
    voxels = math.prod(sides)
    if voxels > limits.max_voxels:
        raise VolumeError(f"The volume has more than the {limits.max_voxels} voxels that are accepted.")
    if voxels * bytes_per_voxel > limits.max_bytes:
        raise VolumeError(f"The volume has more than the {limits.max_bytes} bytes that are accepted.")
    return sides[0], sides[1], sides[2]
