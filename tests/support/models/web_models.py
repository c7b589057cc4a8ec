"""python -m tests.support.models.web_models DIR: tiny models and scans for the tests in a browser."""

import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813

from model_store.card import DirectionCard, ModelCard
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_card, write_tiny_hagan
from tests.support.models.tiny_onnx import write_onnx
from tests.support.models.tiny_stylegan import write_stylegan


def main() -> None:
    """Writes DIR/models and DIR/scans."""
    folder = Path(sys.argv[1])
    models = folder / "models"
    card = write_tiny_hagan(models, "tiny", title="Tiny: noise at 32^3")
    for k, name in enumerate(("first-axis", "second-axis")):
        write_direction(models / "tiny", card, name, k)
    write_tiny_hagan(models, "tiny-classes", classes=("mild", "severe"), encoder=False, seed=1)
    write_direction(models / "tiny-style", write_stylegan(models, "tiny-style", base=(4, 4, 4)), "coarse", 0)
    write_megan(models, "tiny-translator")
    write_onnx(models)
    broken = write_tiny_hagan(models, "tiny-broken", encoder=False, seed=3)
    write_card(models / "tiny-broken", broken)
    with (models / "tiny-broken" / "weights.safetensors").open("r+b") as file:
        file.truncate(1000)
    write_scans(folder / "scans")


def write_direction(folder: Path, card: ModelCard, name: str, axis: int) -> None:
    vector = [float(k == axis) for k in range(card.latent.z_dim)]
    space = "w" if card.latent.has_style_space else "z"
    direction = DirectionCard(name=name, method="sefa", vector=vector, std=1.0, space=space, model_sha256=card.sha256)
    (folder / "directions").mkdir(exist_ok=True)
    (folder / "directions" / f"{name}.json").write_text(direction.model_dump_json())


def write_scans(folder: Path) -> None:
    """A ball with a bright core, 40 x 48 x 36 voxels of 3 mm, in Hounsfield units; its core as a mask, and its edges;
    the ball in a file that does not say where it lies; and a file that is no scan."""
    folder.mkdir()
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in (40, 48, 36)), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    array = np.where(radius < 0.4, 400, np.where(radius < 0.8, 40, -1000)).astype(np.int16)  # XYZ
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    for name in ("ball.nii", "ball.nii.gz"):
        nibabel.Nifti1Image(array, affine).to_filename(folder / name)
    unsaid = nibabel.Nifti1Image(array, None)
    unsaid.header.set_zooms((3.0, 3.0, 3.0))
    unsaid.set_sform(None, 0)
    unsaid.set_qform(None, 0)
    unsaid.to_filename(folder / "unsaid.nii.gz")
    nibabel.Nifti1Image((radius < 0.4).astype(np.uint8), affine).to_filename(folder / "core.nii.gz")
    edges = np.where(np.abs(radius - 0.8) < 0.05, 200, 0).astype(np.uint8)
    nibabel.Nifti1Image(edges, affine).to_filename(folder / "edges.nii.gz")
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))  # XYZ -> ZYX
    image.SetSpacing((3.0, 3.0, 3.0))
    for name in ("ball.nrrd", "ball.mha"):
        sitk.WriteImage(image, str(folder / name))
    (folder / "letter.nii").write_text("This is not a scan.\n" * 50)


if __name__ == "__main__":
    main()
