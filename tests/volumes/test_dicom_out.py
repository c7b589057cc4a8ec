"""Volumes to DICOM series: at the same place and with the same values for every reader, and marked as synthetic."""

import io
import json
import subprocess
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_rescale

from tests.support.volume_samples import numbered, placement, places, turned
from volumes.dicom.conversion import read_series
from volumes.dicom.members import Bounds
from volumes.files import write
from volumes.volume import Array, Volume, VolumeError

MADE_BY = {"synthetic": True, "model": "tiny", "model_sha256": "ab" * 32, "software": "voxelsmith 0.1", "seed": 42}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OBLIQUE = turned(numbered(), placement(oblique=True), "PIR")
Seen = tuple[Array, NDArray[np.float64]]
"""Values (X, Y, Z) and affine to RAS."""


def written(volume: Volume, folder: Path, provenance: Mapping[str, Any] = MADE_BY, **how: Any) -> Path:
    """The folder of the unpacked series."""
    folder.mkdir(exist_ok=True)
    write(volume, folder / "made.dcm.zip", format="dicom", provenance=provenance, **{"modality": "MR"} | how)
    with zipfile.ZipFile(folder / "made.dcm.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder / "DICOM"


def seen_by_pydicom(folder: Path) -> Seen:
    """Places by the standard's equation C.7.6.2.1-1; values by slope and intercept."""
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    first, second = (np.array(image.ImagePositionPatient, float) for image in images[:2])
    along, down = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    affine = np.eye(4)
    steps = (along * float(images[0].PixelSpacing[1]), down * float(images[0].PixelSpacing[0]), second - first)
    affine[:3] = np.column_stack((*steps, first))
    return np.stack([apply_rescale(image.pixel_array, image).T for image in images], axis=-1), LPS @ affine


def seen_by_itk(folder: Path) -> Seen:
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, LPS @ affine


def seen_by_dcm2niix(folder: Path) -> Seen:
    try:
        subprocess.run(["dcm2niix", "-o", folder.parent, "-f", "x", folder], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("dcm2niix is not installed")
    image = nib.load(folder.parent / "x.nii")
    return image.get_fdata(), image.affine


def seen_by_us(folder: Path) -> Seen:
    with (folder.parent / "made.dcm.zip").open("rb") as file:
        volume = read_series(file, Bounds(10**6, 2**26))
    return volume.array, volume.affine


READERS = [seen_by_pydicom, seen_by_itk, seen_by_dcm2niix, seen_by_us]


@pytest.mark.parametrize("see", READERS)
def test_every_voxel_is_where_the_nifti_has_it(see: Any, tmp_path: Path) -> None:
    """Whichever way the array's axes run, straight and oblique, with sizes and spacings that are all unequal."""
    for codes, oblique in (("RAS", False), ("LPS", True), ("IAL", False), ("PIR", True), ("SRA", True), ("RAI", True)):
        volume = turned(numbered(), placement(oblique), codes)
        array, affine = see(written(volume, tmp_path / f"{codes}{oblique}", modality="CT", units="HU"))
        np.testing.assert_allclose(places(array, affine), places(numbered(), placement(oblique)), atol=2e-5)
        assert sorted(array.ravel()) == sorted(numbered().ravel())


@pytest.mark.parametrize("see", READERS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_real_numbers_are_off_by_half_a_step_at_most(modality: str, see: Any, tmp_path: Path) -> None:
    values = (numbered() * np.float32(0.1) - np.float32(3.3)).astype(np.float32)
    array, _ = see(written(Volume(values, placement(oblique=False)), tmp_path, modality=modality))
    half = float(np.ptp(values)) / 65_535 / 2
    assert np.abs(np.sort(array, axis=None) - np.sort(values, axis=None)).max() <= half * 1.001


@pytest.mark.parametrize("see", READERS)
def test_whole_numbers_that_stand_for_parts_of_one_are_read_as_such(see: Any, tmp_path: Path) -> None:
    array, _ = see(written(OBLIQUE, tmp_path, slope=1 / 32767))
    np.testing.assert_allclose(np.sort(array, axis=None), np.sort(numbered() / 32767, axis=None), atol=1e-8)


def test_images_say_that_they_are_synthetic_and_of_nobody(tmp_path: Path) -> None:
    folder = written(OBLIQUE, tmp_path, window=(0, 200), modality="CT", units="HU")
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    for image in images:
        assert (image.SyntheticData, image.ImageType[:2]) == ("YES", ["DERIVED", "SECONDARY"])
        assert str(image.PatientName) == "SYNTHETIC"
        assert image.PatientID.startswith("SYNTHETIC-")
        assert not any((image.PatientBirthDate, image.PatientSex, image.StudyDate, image.StudyTime))
        (maker,) = image.ContributingEquipmentSequence
        assert maker.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"  # Synthesizing Equipment
        assert (maker.Manufacturer, maker.ManufacturerModelName) == ("Voxelsmith", "tiny")
        told = image.private_block(0x0099, "VOXELSMITH 1")[0x01].value
        assert json.loads(told) == MADE_BY
        assert (image.RescaleSlope, image.RescaleIntercept, image.RescaleType) == (1, 0, "HU")
        assert (image.WindowCenter, image.WindowWidth) == (100, 200)
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert all(image.SOPInstanceUID.startswith("2.25.") and image.SOPInstanceUID.is_valid for image in images)
    assert len({(image.SeriesInstanceUID, image.StudyInstanceUID) for image in images}) == 1


def test_the_same_volume_gives_the_same_bytes_and_another_one_other_uids(tmp_path: Path) -> None:
    """Uids come from all that is in the images: two that differ in anything never share one."""
    first, again = (written(OBLIQUE, tmp_path / name).parent / "made.dcm.zip" for name in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()
    brighter = Volume(OBLIQUE.array + 1, OBLIQUE.affine)
    others = [written(OBLIQUE, tmp_path / "c", MADE_BY | {"seed": 7}), written(brighter, tmp_path / "d")]
    uids = [pydicom.dcmread(folder / "0001.dcm").SOPInstanceUID for folder in (tmp_path / "a" / "DICOM", *others)]
    assert len(set(uids)) == 3


def test_files_are_as_pydicom_writes_them(tmp_path: Path) -> None:
    """Though most of each header is encoded once for all images."""
    for path in written(OBLIQUE, tmp_path).iterdir():
        file = io.BytesIO()
        pydicom.dcmwrite(file, pydicom.dcmread(path), enforce_file_format=True)
        assert file.getvalue() == path.read_bytes()


def test_a_provenance_that_is_too_long_for_each_image_is_abridged(tmp_path: Path) -> None:
    folder = written(OBLIQUE, tmp_path, MADE_BY | {"latent": [0.123456789] * 4000})
    told = json.loads(pydicom.dcmread(folder / "0001.dcm").private_block(0x0099, "VOXELSMITH 1")[0x01].value)
    assert told == MADE_BY | {"abridged": True}


def test_a_sheared_volume_is_refused_and_rounding_is_no_shear(tmp_path: Path) -> None:
    affine = placement(oblique=True)
    affine[:3, :3] += 1e-6
    written(Volume(numbered(), affine), tmp_path)
    affine[:3, 2] += 0.1 * affine[:3, 0]
    with pytest.raises(VolumeError, match="right angles"):
        written(Volume(numbered(), affine), tmp_path)
    with pytest.raises(ValueError, match="finite"):
        written(Volume(np.full((4, 5, 6), np.nan, np.float32), placement(oblique=False)), tmp_path)


def test_the_volume_is_not_held_twice(tmp_path: Path) -> None:
    volume = Volume(np.zeros((256, 256, 48), np.float32), np.eye(4))
    tracemalloc.start()
    write(volume, tmp_path / "x.dcm.zip", format="dicom", provenance=MADE_BY, modality="MR")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < volume.array.nbytes / 2
