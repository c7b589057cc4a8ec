"""What is kept of a DICOM file's header: where its frames lie, what their numbers mean, and which series they are of.

Of a patient, an examination or an institution nothing is even looked at: `KEPT` is all that is parsed.
Source: DICOM PS3.3, C.7.6.2 (image plane), C.7.6.16 (functional groups of multi-frame images).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from volumes.dicom.signs import is_image
from volumes.volume import VolumeError

KEPT = (
    "Modality", "SeriesInstanceUID", "SeriesNumber", "ImageType", "SamplesPerPixel", "PhotometricInterpretation",
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
MODALITIES = frozenset(["CR", "CT", "DX", "ES", "MG", "MR", "NM", "OT", "PT", "RF", "SC", "US", "XA"])
MAX_FRAMES = 65_536
DAMAGED = "A DICOM file of the series is damaged, or its header holds what the standard does not."
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError, EOFError, OSError,
       NotImplementedError, InvalidDicomError)  # fmt: skip
"""What pydicom raises of files that are not as they should be."""


@dataclass(frozen=True)
class Frame:
    """One slice: where it is found, where it lies (LPS+ mm), and what its numbers are worth."""

    member: int
    index: int
    position: tuple[float, ...] | None
    """Of the middle of the first pixel."""
    orientation: tuple[float, ...] | None
    """Directions in which the column's and the row's number increase."""
    spacing: tuple[float, ...] | None
    """Between rows, and between columns, in mm."""
    slope: float
    intercept: float


@dataclass(frozen=True)
class Image:
    """One file that holds pixels."""

    series: str
    number: int | None
    modality: str
    rows: int
    columns: int
    is_grey: bool
    is_inverted: bool
    """MONOCHROME1: the least number is white."""
    is_mosaic: bool
    frames: tuple[Frame, ...]


def images_of(files: Iterator[tuple[int, bytes]]) -> list[Image]:
    """Of all files that are DICOM images; others, such as a DICOMDIR or a report, are passed over.

    Raises:
        VolumeError: a file that is damaged.
    """
    found = (_image(number, data) for number, data in files if is_image(data[:132]))
    return [image for image in found if image is not None]


def _image(number: int, data: bytes) -> Image | None:
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=list(KEPT))
        if not header.get("Rows") or not header.get("Columns"):
            return None
        return _facts(number, header)
    except ODD as err:
        if isinstance(err, VolumeError):
            raise
        raise VolumeError(DAMAGED) from err


def _facts(number: int, header: Dataset) -> Image:
    modality = str(header.get("Modality", ""))
    meaning = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    series_number = header.get("SeriesNumber")
    return Image(
        series=str(header.get("SeriesInstanceUID", "")),
        number=None if series_number in (None, "") else int(series_number),
        modality=modality if modality in MODALITIES else "other",
        rows=int(header.Rows),
        columns=int(header.Columns),
        is_grey=int(header.get("SamplesPerPixel", 1)) == 1 and meaning in ("MONOCHROME1", "MONOCHROME2"),
        is_inverted=meaning == "MONOCHROME1",
        is_mosaic="MOSAIC" in (header.get("ImageType") or ()),
        frames=tuple(_frames(number, header)),
    )


def _frames(number: int, header: Dataset) -> Iterator[Frame]:
    """One of a plain image, each of a multi-frame one."""
    count = int(header.get("NumberOfFrames") or 1)
    own = header.get("PerFrameFunctionalGroupsSequence")
    if not own:
        if count > 1:
            raise VolumeError("A multi-frame DICOM image does not say where each of its frames lies.")
        yield _frame(number, 0, [header])
        return
    if len(own) != count or count > MAX_FRAMES:
        raise VolumeError("A multi-frame DICOM image has another number of frames than it tells of.")
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for index, group in enumerate(own):
        yield _frame(number, index, [group, shared[0], header])


def _frame(number: int, index: int, groups: Sequence[Dataset]) -> Frame:
    """`groups`: where its facts may stand, the first that has one counting."""
    slope = _found(groups, "RescaleSlope")
    intercept = _found(groups, "RescaleIntercept")
    return Frame(
        member=number,
        index=index,
        position=_numbers(_found(groups, "ImagePositionPatient"), 3),
        orientation=_numbers(_found(groups, "ImageOrientationPatient"), 6),
        spacing=_numbers(_found(groups, "PixelSpacing"), 2),
        slope=1.0 if slope in (None, "") else float(slope) or 1.0,  # 0 stands for none, as in GDCM and dcm2niix
        intercept=0.0 if intercept in (None, "") else float(intercept),
    )


PLACES: Mapping[str, str] = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Of each fact in a functional group."""


def _found(groups: Sequence[Dataset], name: str) -> Any:
    for group in groups:
        within = group.get(PLACES[name])
        value = within[0].get(name) if within else group.get(name)
        if value is not None:
            return value
    return None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Raises: ValueError, where there is another number of them."""
    if value is None or value == "" or len(value) == 0:
        return None
    if len(value) != count:
        raise ValueError
    return tuple(float(part) for part in value)
