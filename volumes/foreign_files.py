"""What is often sent in place of a volume, told by its first bytes, and what to do with it."""

from volumes.dicom.signs import is_image
from volumes.formats import READABLE, listed
from volumes.volume import VolumeError

CONVERT = "Save it as NIfTI (.nii.gz) first"
DICOM = (
    f"The file is DICOM, which is taken as a scan alone: a .zip of the series, or one multi-frame file. {CONVERT}: "
    "dcm2niix does."
)
STARTS: tuple[tuple[bytes, str], ...] = (
    (
        b"PK\x03\x04",
        "The file is a zip archive, which is taken as a scan alone, of a DICOM series. Send the one volume in it.",
    ),
    (b"7z\xbc\xaf\x27\x1c", "The file is a 7z archive. Send the one volume in it."),
    (b"BZh", "The file is packed by bzip2. Unpack it first, or pack it by gzip."),
    (b"\xfd7zXZ\0", "The file is packed by xz. Unpack it first, or pack it by gzip."),
    (b"\x28\xb5\x2f\xfd", "The file is packed by zstd. Unpack it first, or pack it by gzip."),
    (b"\x89HDF\r\n\x1a\n", f"The file is HDF5, as MINC 2 is. {CONVERT}: mnc2nii does."),
    (b"CDF\x01", f"The file is netCDF, as MINC 1 is. {CONVERT}: mnc2nii does."),
    (b"\x93NUMPY", f"The file is a NumPy array, which does not say where it lies. {CONVERT}, with its affine."),
    (b"\x89PNG", "The file is a picture (PNG), not a volume."),
    (b"\xff\xd8\xff", "The file is a picture (JPEG), not a volume."),
    (b"II*\0", f"The file is TIFF, which does not say where it lies. {CONVERT}, with its affine."),
    (b"MM\0*", f"The file is TIFF, which does not say where it lies. {CONVERT}, with its affine."),
    (b"%PDF", "The file is a PDF document, not a volume."),
    (b"<?xml", "The file is XML, not a volume of a known format."),
    (b"<!", "The file is a web page, not a volume: a download may have failed."),
    (b"<html", "The file is a web page, not a volume: a download may have failed."),
    (b"version https://git-lfs", "The file is a pointer of Git LFS. Fetch the volume that it stands for."),
)


def refusal(head: bytes, is_packed: bool) -> VolumeError:
    """What to say of a file that no reader knows, by its first 264 unpacked bytes."""
    if not head and not is_packed:
        return VolumeError("The file is empty.")
    if is_image(head):
        return VolumeError(DICOM)
    if head[257:262] == b"ustar":
        return VolumeError("The file is a tar archive. Send the one volume in it.")
    for start, sentence in STARTS:
        if head.startswith(start):
            return VolumeError(sentence)
    if is_packed:
        return VolumeError("The file is gzip, and what is in it is not a NIfTI or FreeSurfer volume.")
    return VolumeError(f"The file is not a volume of a known format ({listed(READABLE)}).")
