"""The study of MEGAN's table 1: simulated kernels, networks that lack an input, and the whole of it in tiny."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from evaluation.studies.megan import COARSE, EDGES, KERNELS, SHARP, VERY_SHARP, blacked_out, sharpened
from model_store.catalogue import SHIPPED, Catalogue
from model_store.networks.cascade import Cascade
from model_store.sizes.megan import MEGANSizes, ScaleSizes
from model_store.translator import Guide, Slab
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith.cli import app
from voxelsmith.demo import TRANSLATOR, find_template
from voxelsmith.studies.translation import judged

TINY = ["--phantoms", 2, "--test-phantoms", 1, "--side", 32, "--lr-size", 16, "--iterations", 2, "--batch-size", 1,
        "--width", 2, "--blocks", 1]  # fmt: skip


def test_a_sharp_kernel_is_sharper_and_noisier_and_repeatable() -> None:
    soft = np.zeros((24, 24, 24), dtype=np.int16)
    soft[12:] = 1000
    deviations = []
    for kernel in (SHARP, VERY_SHARP):
        sharp = sharpened(soft, kernel, 1)
        assert np.array_equal(sharp, sharpened(soft, kernel, 1))
        assert not np.array_equal(sharp, sharpened(soft, kernel, 2))
        profile = sharp.mean(axis=(1, 2))
        assert profile[12] > 1000 + 100 * kernel.amount  # it overshoots at an edge
        deviations.append(float((sharp - profile[:, None, None]).std()))
    assert deviations[1] > 1.5 * deviations[0] > deviations[0] > SHARP.noise_hu


NARROW = ScaleSizes(width=2, blocks=1)


def images(cascade: Cascade, drawn: torch.Tensor) -> torch.Tensor:
    guide = Guide(drawn, (32, 32, 32), ((0.0, 31.0),) * 3, 1)
    return torch.cat([event.planes for event in cascade.translate(guide) if isinstance(event, Slab)])


@pytest.mark.parametrize("channel", [COARSE, EDGES])
def test_a_hidden_input_decides_nothing(channel: int) -> None:
    torch.manual_seed(0)
    cascade = Cascade.build(MEGANSizes(lr=NARROW, hr=[NARROW])).eval()
    drawn = torch.randint(0, 256, (32, 32, 32), dtype=torch.uint8)
    hidden = blacked_out(cascade, channel)
    before = images(hidden, drawn)
    with torch.no_grad():
        cascade.levels[0].leave.bias += 0.5  # another coarse image
    assert torch.equal(images(hidden, drawn), before) == (channel == COARSE)
    assert not torch.equal(before, images(cascade, drawn))


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("training", ["distance", "paper"])
def test_the_study_compares_what_the_paper_compares_and_goes_on(training: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", "megan", "--out", out, *TINY, "--training", training]
    said = run(*words)
    report = json.loads((out / "report.json").read_text())
    methods = [row["method"] for row in report["rows"] if row["kernel"] == SHARP.name]
    assert methods[:2] == ["ours", "patch-wise"]
    assert {"small, enlarged", "without edges", "original"} < set(methods)
    assert len(report["rows"]) == len(KERNELS) * len(methods)
    assert report["rows"][0]["paper"] == {"ssim": 0.773, "mae": 0.033, "mse": 0.004, "psnr_db": 24.1}
    assert set(report["rows"][0]["whole"]) == {"ssim", "mae", "mse", "psnr_db"}
    assert str(tmp_path) not in json.dumps(report)
    assert said.startswith("| kernel | method |")
    names = ("ours", "patch-wise", "without-edges")
    ours, alone, plain = (load_file(out / "runs" / name / name / "weights.safetensors") for name in names)
    for others in (alone, plain):
        lowest = [key for key in ours if key.startswith("cascade.levels.0.")]
        assert all(torch.equal(ours[key], others[key]) for key in lowest)
        assert not all(torch.equal(ours[key], others[key]) for key in ours)
    times = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.pt")}
    assert times
    run(*words)
    assert json.loads((out / "report.json").read_text()) == report
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.slow
def test_one_model_is_judged_on_one_scan(tmp_path: Path) -> None:
    write_megan(tmp_path / "models", "tiny", levels=1)
    write_tiny_hagan(tmp_path / "models", "generator")
    x, y, z = np.ogrid[:40, :36, :34]
    ball = ((x - 20) ** 2 + (y - 18) ** 2 + (z - 17) ** 2 < 150).astype(np.int16) * 500
    for name, array in (("scan", ball), ("truth", ball + 1), ("other", ball[1:])):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    words = ["--models", tmp_path / "models", "study", "translation", tmp_path / "scan.nii.gz"]
    more = ["--truth", tmp_path / "truth.nii.gz", "--out", tmp_path / "r.json"]
    found = json.loads(run(*words, "--model", "tiny", *more))
    assert found == json.loads((tmp_path / "r.json").read_text())
    assert [row["scale"] for row in found["scales"]] == [1, 2]
    assert found["scales"][0]["shape"][0] * 2 == found["scales"][1]["shape"][0]
    assert found["original"]["whole"]["ssim"] > found["scales"][1]["whole"]["ssim"]
    assert "whole" not in json.loads(run(*words, "--model", "tiny"))["scales"][0]
    for wrong, sentence in (
        (["--model", "tiny", "--truth", tmp_path / "other.nii.gz"], "scan's grid"),
        (["--model", "generator"], "can generate"),
    ):
        done = CliRunner().invoke(app, [str(word) for word in (*words, *wrong)])
        assert done.exit_code == 1
        assert sentence in done.output


@pytest.mark.slow
def test_the_shipped_translator_keeps_its_detail_and_shows_no_patches() -> None:
    """On the MNI template; docs/models.md has the figures of a patient. A better model raises the floor."""
    card, scan = Catalogue([SHIPPED]).card(TRANSLATOR), find_template()
    found = judged(card, SHIPPED / TRANSLATOR, scan, scan)
    assert found["scales"][-1]["detail"] > 0.4 * found["truth"]["detail"]
    assert found["seam_ratio"] < 1.1
