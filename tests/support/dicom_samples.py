"""Tiny DICOM series, written by pydicom itself, with a patient's name planted in them."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

PATIENT, PATIENT_ID = "Planted^Patient", "PLANTED-ID-4711"
SIDES = (7, 5, 6)
"""Columns, rows, slices."""


def voxels() -> NDArray[np.int16]:
    """(X, Y, Z), with negative values, each of which names its voxel."""
    count = int(np.prod(SIDES))
    return (np.random.default_rng(7).permutation(count) - 50).reshape(SIDES).astype(np.int16)


def turned(degrees: float = 17.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of columns' and rows' numbers of an oblique series."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([c, s, 0.0]), np.array([-s * c, c * c, s])


def slices(
    array: NDArray[Any] | None = None, step: Sequence[float] | None = None, number: int = 3, **fields: Any
) -> list[FileDataset]:
    """One CT image of each slice: pixels of 0.8 mm (columns) by 1.1 mm (rows), 2.5 mm apart along the normal."""
    array = voxels() if array is None else array
    right, down = turned()
    along = 2.5 * np.cross(right, down) if step is None else np.asarray(step)
    series, made = generate_uid(entropy_srcs=[f"series {number}"]), []
    for k in range(array.shape[2]):
        image = _file(CTImageStorage, f"{number} {k}")
        image.PatientName, image.PatientID, image.Modality = PATIENT, PATIENT_ID, "CT"
        image.SeriesInstanceUID, image.SeriesNumber, image.InstanceNumber = series, number, array.shape[2] - k
        image.ImagePositionPatient = [round(float(x), 6) for x in np.array([-20.5, 31.25, 7.125]) + k * along]
        image.ImageOrientationPatient = [round(float(x), 9) for x in (*right, *down)]
        image.PixelSpacing, image.SliceThickness = [1.1, 0.8], 9.0
        _put_pixels(image, array[:, :, k].T)
        for name, value in fields.items():
            setattr(image, name, value)
        made.append(image)
    return made


def multi_frame(array: NDArray[Any] | None = None) -> FileDataset:
    """The same slices as an Enhanced MR image, with a slope of a half."""
    array = voxels() if array is None else array
    image = _file(EnhancedMRImageStorage, "enhanced")
    image.PatientName, image.PatientID, image.Modality = PATIENT, PATIENT_ID, "MR"
    image.SeriesInstanceUID, image.SeriesNumber = generate_uid(entropy_srcs=["enhanced"]), 9
    shared, groups = Dataset(), []
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [Dataset()], [Dataset()]
    plain = slices(array)
    shared.PixelMeasuresSequence[0].PixelSpacing = plain[0].PixelSpacing
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = plain[0].ImageOrientationPatient
    for one in reversed(plain):
        group = Dataset()
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [Dataset()], [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = one.ImagePositionPatient
        group.PixelValueTransformationSequence[0].RescaleSlope = 0.5
        group.PixelValueTransformationSequence[0].RescaleIntercept = 0
        groups.append(group)
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], groups
    _put_pixels(image, np.stack([array[:, :, k].T for k in range(array.shape[2])][::-1]))
    image.NumberOfFrames = array.shape[2]
    return image


def saved(image: FileDataset) -> bytes:
    file = io.BytesIO()
    pydicom.dcmwrite(file, image, enforce_file_format=True)
    return file.getvalue()


def archive(images: Sequence[FileDataset], target: Path | None = None, **others: bytes) -> bytes:
    """A zip of them in the order in which they come, and other files beside them."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for k, image in enumerate(images):
            file.writestr(f"export/IM{k:04d}", saved(image))
        for name, content in others.items():
            file.writestr(name, content)
    if target is not None:
        target.write_bytes(data.getvalue())
    return data.getvalue()


def _file(kind: str, name: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.SOPClassUID, image.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    return image


def _put_pixels(image: Dataset, planes: NDArray[Any]) -> None:
    """(rows, columns), or (frames, rows, columns)."""
    image.Rows, image.Columns = planes.shape[-2:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = int(planes.dtype.kind == "i")
    image.PixelData = np.ascontiguousarray(planes).astype(planes.dtype.newbyteorder("<")).tobytes()
