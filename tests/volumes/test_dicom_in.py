"""DICOM series to volumes: order and place from positions, numbers as the header means them, and what is refused."""

import base64
import io
import json
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from tests.support.dicom_samples import PATIENT, PATIENT_ID, archive, multi_frame, saved, slices, turned, voxels
from volumes import assumptions
from volumes.dicom import jail
from volumes.dicom.conversion import read_series, write_nifti
from volumes.dicom.jail import FAILED, TOO_MUCH, convert
from volumes.dicom.members import Bounds
from volumes.files import read
from volumes.reader_limits import Limits
from volumes.two_files import as_one_file
from volumes.volume import Volume, VolumeError

HALF_HEAD = Path(__file__).parents[3] / "shared" / "data" / "dicom_half.zip"
BOUNDS = Bounds(10**6, 2**26)
JPEG_LS = base64.b85decode(
    "|JeWN03cIPNk&Eh0ssI300005000073J?YX0003j0003j|L6b+00001|JeWc01FTR1po&D0TBTI_y7$7|Nj6I07C&3"
    "06_oR00;pA00000P8ls8U_B$5N|;?)ARNP<(n3Ve38@6;1W=Qcjz*eLx=+ID*(Tv_5TCIk6To;-|Je"
)
"""The first slice of `voxels() + 60`, as CharLS packs it."""


def of(data: bytes, number: int | None = None, bounds: Bounds = BOUNDS) -> Volume:
    return read_series(io.BytesIO(data), bounds, number)


def refusal(data: bytes, number: int | None = None, bounds: Bounds = BOUNDS) -> str:
    with pytest.raises(VolumeError) as caught:
        of(data, number, bounds)
    return caught.value.detail


def expected_affine() -> np.ndarray[Any, Any]:
    right, down = turned()
    lps = np.eye(4)
    lps[:3] = np.column_stack((0.8 * right, 1.1 * down, 2.5 * np.cross(right, down), (-20.5, 31.25, 7.125)))
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.mark.parametrize("order", ["kept", "reversed", "shuffled"])
def test_slices_lie_where_their_positions_say(order: str) -> None:
    """In whatever order the files come and the instances are numbered; the slice thickness says something else."""
    images = slices()
    places = {"kept": range(6), "reversed": range(5, -1, -1), "shuffled": (3, 0, 5, 1, 4, 2)}[order]
    volume = of(archive([images[k] for k in places]))
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.affine, expected_affine(), atol=1e-5)


def test_a_folder_an_archive_and_their_nifti_are_one(tmp_path: Path) -> None:
    """By the door that commands and training use, with a report and a picture among the files; in a child process."""
    folder = tmp_path / "series" / "deep"
    folder.mkdir(parents=True)
    for k, image in enumerate(slices()):
        (folder / f"{k}").write_bytes(saved(image))
    (folder / "readme.txt").write_text("no image")
    with as_one_file(tmp_path / "series") as one:
        volume, plain = read(one), one.read_bytes()
    np.testing.assert_array_equal(volume.array, voxels())
    np.testing.assert_allclose(volume.affine, expected_affine(), atol=1e-5)
    assert PATIENT.encode() not in plain
    assert PATIENT_ID.encode() not in plain


def test_frames_of_an_enhanced_image_are_slices() -> None:
    volume = of(saved(multi_frame()))
    np.testing.assert_array_equal(volume.array, 0.5 * voxels())
    np.testing.assert_allclose(volume.affine, expected_affine(), atol=1e-5)


def test_slope_and_intercept_are_applied_and_whole_numbers_stay_whole() -> None:
    hounsfield = of(archive(slices(RescaleSlope=2, RescaleIntercept=-1024)))
    np.testing.assert_array_equal(hounsfield.array, 2 * voxels() - 1024)
    assert hounsfield.array.dtype == np.int16
    images = slices()
    for k, image in enumerate(images):  # as PET has it
        image.RescaleSlope, image.RescaleIntercept = 0.25 * (k + 1), 0
    np.testing.assert_array_equal(of(archive(images)).array, voxels() * 0.25 * np.arange(1, 7))
    np.testing.assert_array_equal(of(archive(slices(RescaleSlope=0, RescaleIntercept=-9))).array, voxels() - 9)


def test_twelve_bits_with_a_sign_and_others_above_them() -> None:
    """The bits above the stored ones, where old overlays lie, are no part of the number."""
    stored = voxels().astype(np.uint16) & 0x0FFF | 0x5000
    images = slices(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(of(archive(images)).array, voxels())


def test_padding_outside_the_stored_bits_is_not_bright() -> None:
    """-2000 in 16 bits, in images that claim 12 bits without a sign."""
    array = (voxels() + 100).astype(np.uint16)
    array[0, :, :] = 63536
    images = slices(array, BitsStored=12, HighBit=11, PixelPaddingValue=63536)
    made = of(archive(images)).array
    assert (made[0] == 0).all()
    np.testing.assert_array_equal(made[1:], array[1:])


def test_a_negative_padding_value_shows_that_numbers_have_a_sign() -> None:
    images = slices(voxels().view(np.uint16), PixelRepresentation=0)
    for image in images:
        image.add_new("PixelPaddingValue", "SS", -2000)
    np.testing.assert_array_equal(of(archive(images)).array, voxels())


def test_where_the_least_number_is_white_values_are_turned() -> None:
    made = of(archive(slices(PhotometricInterpretation="MONOCHROME1"))).array
    np.testing.assert_array_equal(made, voxels().min() + voxels().max() - voxels())


@pytest.mark.parametrize("is_packed", [False, True])
def test_what_was_done_to_a_series_is_told_by_whoever_reads_its_nifti(is_packed: bool, tmp_path: Path) -> None:
    right, down = turned()
    white = slices(step=2.5 * np.cross(right, down) + 0.9 * down, PhotometricInterpretation="MONOCHROME1")
    for images, done in ((white, {assumptions.INVERTED, assumptions.STRAIGHTENED}), (slices(), set())):
        with (tmp_path / "made").open("wb") as file:
            write_nifti(of(archive(images)), file, is_packed)
        assert {*read(tmp_path / "made").assumed} == done


def test_a_tilted_gantry_is_straightened() -> None:
    """A slab of tissue that stands straight in the room stands straight in the volume, at its place."""
    right, down = turned()
    normal = np.cross(right, down)
    tilt = np.tan(np.radians(20.0)) * 2.5  # mm along the rows' direction with each slice
    y_mm = np.arange(40)[:, np.newaxis] * 1.1 + np.arange(9) * tilt
    array = np.broadcast_to(1000 * np.clip((y_mm - 20) / 10, 0, 1), (7, 40, 9)).astype(np.int16)
    volume = of(archive(slices(array, step=2.5 * normal + tilt * down)))
    assert volume.shape == (7, 40 + int(np.ceil(tilt / 1.1 * 8)), 9)
    assert volume.assumed == (assumptions.STRAIGHTENED,)
    np.testing.assert_allclose(volume.affine[:3, 2] @ volume.affine[:3, 1], 0, atol=1e-4)
    np.testing.assert_allclose(volume.affine[:, 3], expected_affine()[:, 3], atol=1e-4)
    inside = 1000 * np.clip((np.arange(volume.shape[1]) * 1.1 - 20) / 10, 0, 1)
    covered = slice(int(np.ceil(tilt / 1.1 * 8)) + 1, 39)  # by every slice
    difference = np.abs(volume.array[:, covered] - inside[np.newaxis, covered, np.newaxis])
    assert difference.max() < 60  # a ramp of 110 to a pixel; its corners are rounded


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_images_are_decoded(syntax: pydicom.uid.UID) -> None:
    array = np.tile(voxels(), (8, 8, 1))
    images = slices(array)
    for image in images:
        image.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(of(archive(images)).array, array)


def wrapped(images: list[FileDataset], syntax: pydicom.uid.UID, packed: Callable[[int], bytes], bits: int) -> bytes:
    """An archive of them with their pixels in the stream that `packed` gives for each."""
    for k, image in enumerate(images):
        image.add_new("PixelData", "OB", pydicom.encaps.encapsulate([packed(k)]))
        image.file_meta.TransferSyntaxUID = syntax
        image.BitsAllocated = max(8, bits)
        image.BitsStored, image.HighBit = bits, bits - 1
    return archive(images)


@pytest.mark.parametrize("is_signed", [False, True])
def test_lossless_jpeg_is_decoded_exactly(is_signed: bool, tmp_path: Path) -> None:
    """As GDCM writes it."""
    array = voxels() if is_signed else (voxels() + 60).astype(np.uint16)

    def packed(k: int) -> bytes:
        image = sitk.GetImageFromArray(np.ascontiguousarray(array[:, :, k].T))
        writer = sitk.ImageFileWriter()
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(tmp_path / "x.dcm"))
        writer.Execute(image)
        made = pydicom.dcmread(tmp_path / "x.dcm")
        assert made.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        return next(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=1))

    data = wrapped(slices(array), JPEGLosslessSV1, packed, 16)
    np.testing.assert_array_equal(of(data).array, array)


def test_jpeg_ls_is_decoded_exactly() -> None:
    array = np.repeat((voxels()[:, :, :1] + 60).astype(np.uint16), 6, axis=2)
    np.testing.assert_array_equal(of(wrapped(slices(array), JPEGLSLossless, lambda _: JPEG_LS, 16)).array, array)


def test_baseline_jpeg_is_decoded() -> None:
    x, y, z = np.mgrid[:40, :56, :6]
    array = (128 + 60 * np.sin(x / 9 + z) * np.cos(y / 7)).astype(np.uint8)

    def packed(k: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(array[:, :, k].T)).save(file, "JPEG", quality=95)
        return file.getvalue()

    made = of(wrapped(slices(array), JPEGBaseline8Bit, packed, 8)).array
    assert np.abs(made.astype(int) - array).max() <= 3


def test_several_series_are_listed_and_one_is_chosen() -> None:
    """What is told of them names no patient."""
    other = slices(voxels()[:5, :4, :3], number=12, SeriesDescription="of Planted^Patient")
    data = archive([*slices(), *other, *slices(number=3, SeriesInstanceUID="1.2.3")])
    told = refusal(data)
    assert "12 (CT, 3 images of 5 x 4); 13 (CT, 6 images of 7 x 5); 14 (CT, 6 images of 7 x 5)" in told
    assert "lanted" not in told
    np.testing.assert_array_equal(of(data, 12).array, voxels()[:5, :4, :3])
    assert told[told.index("12 (") :] in refusal(data, 5)


def changed(place: int, **fields: Any) -> list[FileDataset]:
    images = slices()
    for name, value in fields.items():
        setattr(images[place], name, value)
    return images


def four_dimensional() -> list[FileDataset]:
    return [*slices(), *slices()]


def in_colour() -> list[FileDataset]:
    return slices(SamplesPerPixel=3, PhotometricInterpretation="RGB")


def without(name: str) -> list[FileDataset]:
    images = slices()
    for image in images:
        delattr(image, name)
    return images


REFUSED: dict[str, tuple[Callable[[], Sequence[FileDataset]], str]] = {
    "a missing slice": (lambda: [x for k, x in enumerate(slices()) if k != 3], "missing between images 3 and 4 of 5"),
    "a doubled slice": (
        lambda: [*slices(), slices()[2]],
        "Images 3 and 4 of 7 in the order of their pos",
    ),
    "4-D": (four_dimensional, "2 images at each place"),
    "colour": (in_colour, "colour"),
    "a palette": (lambda: slices(PhotometricInterpretation="PALETTE COLOR"), "colour"),
    "several directions": (lambda: changed(2, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "several directions"),
    "several sizes": (lambda: changed(2, Rows=4), "several sizes"),
    "one image": (lambda: slices()[:1], "Send all images"),
    "no position": (lambda: without("ImagePositionPatient"), "do not say where they lie"),
    "pixels of no size": (lambda: slices(PixelSpacing=[0, 1]), "not a number that can be"),
    "directions that are none": (lambda: slices(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "right angles"),
    "pixels that break off": (lambda: changed(2, PixelData=bytes(4)), "damaged"),
    "a mosaic": (lambda: slices(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "mosaics"),
    "slices moved sideways": (lambda: changed(3, ImagePositionPatient=[-18, 37, 15]), "."),
    "more bits than there are": (lambda: slices(BitsStored=17), "where there are none"),
    "half of it inverted": (lambda: changed(1, PhotometricInterpretation="MONOCHROME1"), "white"),
    "no images": (list, "no DICOM images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_volume_is_refused_with_the_reason(name: str) -> None:
    make, sentence = REFUSED[name]
    detail = refusal(archive(make()))
    assert sentence in detail
    assert "lanted" not in detail


def zipped(name: str, data: bytes = b"x", mode: int = 0, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        entry = zipfile.ZipInfo(name)
        entry.external_attr, entry.compress_type = mode << 16, packing
        made.writestr(entry, data)
    return file.getvalue()


def with_many(count: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for k in range(count):
            made.writestr(str(k), b"")
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a name that leads out": (lambda: zipped("a/../../b"), "outside itself"),
    "an absolute name": (lambda: zipped("/etc/passwd"), "outside itself"),
    "a name of Windows": (lambda: zipped("..\\b"), "outside itself"),
    "a link": (lambda: zipped("a", b"/etc/passwd", stat.S_IFLNK | 0o777), "a link"),
    "a bomb": (lambda: zipped("a", bytes(2**25)), "200 times"),
    "more than is accepted": (lambda: zipped("a", bytes(2**27), packing=zipfile.ZIP_STORED), "unpacks to more than"),
    "an archive in an archive": (lambda: zipped("a", zipped("b")), "another archive"),
    "folders without end": (lambda: zipped("a/" * 40 + "b"), "16 folders"),
    "another packing": (lambda: zipped("a", packing=zipfile.ZIP_LZMA), "deflate"),
    "10,000 files": (lambda: with_many(10_000), "8192 files"),
    "half an archive": (lambda: archive(slices())[:-40], "damaged"),
    "a byte turned": (lambda: _turned(archive(slices())), "damaged"),
    "a start without an end": (lambda: b"PK\x03\x04", "damaged"),
}


def _turned(data: bytes) -> bytes:
    return data[:900] + bytes([data[900] ^ 0xFF]) + data[901:]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name: str) -> None:
    make, sentence = HOSTILE[name]
    assert sentence in refusal(make())


def test_more_voxels_than_are_accepted_are_refused_before_they_are_made() -> None:
    assert "more than the 100 voxels" in refusal(archive(slices()), bounds=Bounds(100, 2**26))


def test_frames_that_are_promised_must_be_there() -> None:
    image = multi_frame()
    image.NumberOfFrames = 2_000_000_000
    assert "another number of frames" in refusal(saved(image))
    del image.PerFrameFunctionalGroupsSequence
    assert "does not say where" in refusal(saved(image))


def test_a_series_that_needs_too_much_ends_with_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deflated file that unpacks to much more than it may: the child's memory is bounded, and this process lives."""
    monkeypatch.setattr(jail, "SPARE_BYTES", 2**26)
    image = slices()[0]
    image.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    head = saved(image)
    packer = zlib.compressobj(1, wbits=-15)
    block = bytes(2**24)
    body = b"".join(packer.compress(block) for _ in range(24)) + packer.flush()
    start = head.index(b"DICM") + 4
    length = int.from_bytes(head[start + 8 : start + 12], "little")
    hostile = tmp_path / "hostile.dcm"
    hostile.write_bytes(head[: start + 12 + length] + body)
    with hostile.open("rb") as file, (tmp_path / "out").open("wb") as out, pytest.raises(VolumeError) as caught:
        convert(file, out, Limits(10**6, 2**22))
    assert caught.value.detail in (TOO_MUCH, FAILED)


def test_sequences_one_in_another_without_end_are_refused() -> None:
    innermost = Dataset()
    for _ in range(400):
        outer = Dataset()
        outer.PlanePositionSequence = [innermost]
        innermost = outer
    image = slices()[0]
    image.SharedFunctionalGroupsSequence = [innermost]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        data = saved(image)
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(VolumeError):
        of(data)


@pytest.mark.skipif(not HALF_HEAD.exists(), reason="needs the shared volumes")
@pytest.mark.slow
def test_a_real_series_is_as_dcm2niix_and_itk_read_it(tmp_path: Path) -> None:
    with HALF_HEAD.open("rb") as file:
        volume = read_series(file, Bounds(512**3, 2**30))
    with zipfile.ZipFile(HALF_HEAD) as file:
        file.extractall(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom_half")))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.array)
    np.testing.assert_allclose(volume.spacing_mm, image.GetSpacing(), atol=1e-6)
    np.testing.assert_allclose(volume.affine[:3, 3] * (-1, -1, 1), image.GetOrigin(), atol=1e-6)
    try:
        subprocess.run(
            ["dcm2niix", "-o", tmp_path, "-f", "x", tmp_path / "dicom_half"], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("dcm2niix is not installed")
    theirs = nib.as_closest_canonical(nib.load(tmp_path / "x.nii"))
    ours = nib.as_closest_canonical(nib.Nifti1Image(volume.array, volume.affine))
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), np.asarray(ours.dataobj))
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-5)
    assert json.loads((tmp_path / "x.json").read_text())["Modality"] == "MR"
