"""The numbers of frames: decoded, with their sign, in the units that slope and intercept give them."""

import io

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from volumes.dicom.images import DAMAGED, ODD
from volumes.volume import VolumeError

Pixels = NDArray[np.int64]
PARSED = (
    "PixelData", "FloatPixelData", "DoubleFloatPixelData", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
NEEDS_EXTRA = (
    "The DICOM images are compressed ({}), and what decodes that is not installed: pip install "
    "'voxelsmith[dicom-compressed]', or save them uncompressed (gdcmconv --raw, dcmdjpeg)."
)


def frames_of(data: bytes) -> NDArray[np.int32]:
    """The stored numbers of one file, (frames, rows, columns), before slope and intercept.

    Raises:
        VolumeError: damaged pixels, a type that is not whole numbers, or one that nothing here decodes.
    """
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=list(PARSED))
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset or "PixelData" not in dataset:
            raise VolumeError("The pixels of the DICOM images are not whole numbers.")
        _bits(dataset)
        syntax = _syntax(dataset)
        if syntax.is_compressed:
            decoder = get_decoder(syntax)
            if not decoder.is_available:
                raise VolumeError(NEEDS_EXTRA.format(syntax.name))
        array = pixel_array(dataset, raw=True, correct_unused_bits=False)
        return _signed(array.reshape(-1, int(dataset.Rows), int(dataset.Columns)), dataset, syntax.is_compressed)
    except VolumeError:
        raise
    except (*ODD, RuntimeError) as err:
        raise VolumeError(DAMAGED) from err


def _syntax(dataset: Dataset) -> pydicom.uid.UID:
    """Of a file without a meta header, what pydicom found it to be."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    if "TransferSyntaxUID" not in meta:
        is_implicit = dataset.original_encoding[0]
        plain = pydicom.uid.ImplicitVRLittleEndian if is_implicit else pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = plain
    syntax: pydicom.uid.UID = dataset.file_meta.TransferSyntaxUID
    return syntax


def _signed(array: NDArray[np.generic], dataset: Dataset, is_compressed: bool) -> NDArray[np.int32]:
    """Of the bits that are stored; those above them, where old overlays lay, are no part of the number.

    Padding is often written past those bits: it becomes the least number that they hold, and not a bright one. A
    negative padding value in a header that claims unsigned numbers shows the claim to be wrong.
    """
    allocated, stored, shift = _bits(dataset)
    shift = 0 if is_compressed else shift
    raw = array.astype(np.int64) & ((1 << allocated) - 1)
    padding = dataset.get("PixelPaddingValue")
    padding = int(padding) if isinstance(padding, int) else None
    is_signed = int(dataset.get("PixelRepresentation", 0)) == 1 or (padding is not None and padding < 0)
    values = (raw >> shift) & ((1 << stored) - 1)
    if is_signed:
        values -= (values >> (stored - 1)) << stored
    if padding is not None and not is_signed and padding >= 1 << stored:
        values[raw == padding] = 0
    if values.size and (values.min() < -(2**31) or values.max() >= 2**31):
        raise VolumeError("The numbers of the DICOM images are larger than 32 bits with a sign hold.")
    return values.astype(np.int32)


def _bits(dataset: Dataset) -> tuple[int, int, int]:
    """Allocated, stored, and how far up the stored ones lie. Raises: VolumeError."""
    allocated = int(dataset.get("BitsAllocated") or 0)
    stored = int(dataset.get("BitsStored") or allocated)
    shift = int(dataset.get("HighBit", stored - 1)) - stored + 1
    if allocated not in (8, 16, 32):
        raise VolumeError("The pixels of the DICOM images are not whole numbers of 8, 16 or 32 bits.")
    if not (1 <= stored <= allocated and 0 <= shift <= allocated - stored):
        raise VolumeError("The DICOM images say that bits are stored where there are none.")
    return allocated, stored, shift
