"""A volume as a DICOM series: a zip archive of classic CT or MR images, written slice by slice.

The same volume with the same provenance gives the same bytes; every other one has other UIDs.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag

from volumes.codecs.packing import voxel_bytes
from volumes.dicom.packing import ArchiveWriter
from volumes.dicom.placing import Placing, placed
from volumes.dicom.stored_numbers import scaling_of
from volumes.dicom.synthetic import ds, header_of, meta_of, uid_of
from volumes.reader_limits import Marking
from volumes.volume import Array, Volume

FOLDER = "DICOM"
OWN = ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SliceLocation", "PixelData")
"""What each image has for itself, in the order of tags."""
PREAMBLE = bytes(128) + b"DICM"


def write(volume: Volume, file: BinaryIO, marking: Marking) -> None:
    """Write a volume (X, Y, Z), marked as synthetic, its provenance a private element of each image.

    Raises:
        VolumeError: axes that are not at right angles.
        ValueError: real numbers that are not finite.
    """
    placing = placed(volume)
    scaling = scaling_of(placing.array, marking.slope)
    digest = _digest(placing, marking)
    shared, meta = _between(header_of(marking, placing, scaling, digest)), meta_of(marking)
    archive = ArchiveWriter(file)
    for place, plane in enumerate(_planes(placing.array)):
        own = _own(placing, place, digest)
        own.add_new("PixelData", "OW", scaling.stored(plane).tobytes())
        archive.add(f"{FOLDER}/{place + 1:04d}.dcm", _image(meta, shared, own))
    archive.close()


def _own(placing: Placing, place: int, digest: str) -> Dataset:
    """The elements of one image that no other has, but for its pixels."""
    position, own = placing.position(place), Dataset()
    own.SOPInstanceUID, own.InstanceNumber = uid_of(digest, f"image {place}"), place + 1
    own.ImagePositionPatient = [ds(part) for part in position]
    own.SliceLocation = ds(float(position @ placing.directions[:, 2]))
    return own


def _image(meta: FileMetaDataset, shared: Sequence[bytes], own: Dataset) -> bytes:
    """A whole file: what all images share is encoded once, which is most of the work."""
    meta.MediaStorageSOPInstanceUID = own.SOPInstanceUID
    head = DicomBytesIO()
    write_file_meta_info(head, meta)
    parts = [PREAMBLE, head.getvalue()]
    for before, name in zip(shared, OWN, strict=True):
        tag = Tag(name)
        parts += (before, _encoded(own[tag : tag + 1]))
    return b"".join(parts)


def _between(header: Dataset) -> list[bytes]:
    """The shared elements before each of an image's own; none lies behind the pixels."""
    tags = [int(Tag(name)) for name in OWN]
    return [_encoded(header[first + 1 : last]) for first, last in zip([0, *tags], tags, strict=False)]


def _encoded(dataset: Dataset) -> bytes:
    data = DicomBytesIO()
    data.is_little_endian, data.is_implicit_VR = True, False
    write_dataset(data, dataset)
    return data.getvalue()


def _planes(array: Array) -> Iterator[Array]:
    """Each slice as (rows, columns), gathered a slab at a time."""
    for slab in voxel_bytes(array):
        yield from np.asarray(slab)  # ZYX -> YX


def _digest(placing: Placing, marking: Marking) -> str:
    """Of all that the images hold."""
    place = [placing.directions.tolist(), placing.spacing_mm, placing.first.tolist(), placing.array.shape]
    said = [place, placing.array.dtype.name, marking.slope, marking.modality, marking.units, marking.window]
    digest = hashlib.sha256(json.dumps([*said, marking.provenance], sort_keys=True).encode())
    for slab in voxel_bytes(placing.array):
        digest.update(slab)
    return digest.hexdigest()
