"""What a program may hold a scan in, as a file to send: a path, a nibabel image, an array with its affine, bytes.

An image and an array leave as NIfTI-2, which keeps an affine as it is; NIfTI-1 rounds it to 32 bits.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import SpatialImage

Scan: TypeAlias = str | Path | bytes | BinaryIO | SpatialImage | tuple[npt.ArrayLike, npt.ArrayLike]
"""A file or a folder of DICOM; a file's bytes; a file open for reading bytes, from where it stands; a nibabel image; or
(array (X, Y, Z), affine (4, 4) to RAS+ mm)."""
_SCANNER, _MILLIMETRES = 1, 2


@contextmanager
def as_file(scan: Scan) -> Iterator[Path]:
    """A path as it is; of anything else a temporary file, gone at the end.

    Raises:
        TypeError, ValueError: it is nothing that holds a scan.
    """
    if isinstance(scan, str | Path):
        yield Path(scan)
        return
    with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
        path = Path(folder) / "scan"
        _write(scan, path)
        yield path


def _write(scan: Any, path: Path) -> None:
    if isinstance(scan, bytes | bytearray | memoryview):
        path.write_bytes(scan)
    elif isinstance(scan, SpatialImage):
        path.write_bytes(_of_image(scan).to_bytes())
    elif isinstance(scan, tuple) and len(scan) == 2:
        path.write_bytes(_of_array(*scan).to_bytes())
    elif hasattr(scan, "read"):
        _copy(scan, path)
    elif isinstance(scan, np.ndarray):
        raise TypeError("an array has no place: give it with its affine, as (array, affine)")
    else:
        raise TypeError(f"a scan cannot be taken from a {type(scan).__name__}")


def _copy(source: Any, path: Path) -> None:
    with path.open("wb") as file:
        try:
            shutil.copyfileobj(source, file)
        except TypeError as err:
            raise TypeError("the file of a scan has to be open for bytes, in mode 'rb'") from err


def _of_image(image: Any) -> Any:
    """The image's values as its scaling makes them, its affine, and what its header says of units and places."""
    array = _stored(np.asanyarray(image.dataobj))
    if not isinstance(image, nibabel.Nifti1Pair):  # of which NIfTI-2 is one too
        return _of_array(array, image.affine)
    # Its check would mend the size of the header, and tell the user that it did.
    header = nibabel.Nifti2Header.from_header(image.header, check=False)
    header["sizeof_hdr"] = header.sizeof_hdr
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    codes = {name: int(image.header[name]) for name in ("sform_code", "qform_code")}
    made = nibabel.Nifti2Image(array, image.affine, header)
    if any(codes.values()):
        made.set_sform(image.affine, code=codes["sform_code"] or codes["qform_code"])
        made.set_qform(None, code=0)
    else:  # left open, as it is: the server says how it takes it
        made.set_sform(None, code=0)
        made.set_qform(None, code=0)
    return made


def _of_array(array: npt.ArrayLike, affine: npt.ArrayLike) -> Any:
    """Raises: ValueError."""
    place = np.asarray(affine, dtype=np.float64)
    if place.shape != (4, 4):
        raise ValueError("an affine has the shape (4, 4)")
    voxels = _stored(np.asanyarray(array))
    made = nibabel.Nifti2Image(voxels, place, dtype=voxels.dtype)
    made.header["xyzt_units"] = _MILLIMETRES
    made.set_sform(place, code=_SCANNER)
    made.set_qform(None, code=0)
    return made


def _stored(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As NIfTI has it: truth values as 0 and 1, float16 as float32, long double as double."""
    kind = array.dtype
    if kind.kind == "b":
        return array.astype(np.uint8)
    if kind.kind == "f" and kind.itemsize not in (4, 8):
        return array.astype(np.float32 if kind.itemsize < 4 else np.float64)
    return array
