"""A whole evaluation: of a folder, of a model, resumed, and of what cannot be compared."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.config import EvaluationConfig
from evaluation.course import PARTS, Model, evaluate
from evaluation.errors import EvaluationRefused
from evaluation.report import Report
from tests.support.models.tiny_models import write_tiny_hagan
from volumes.files import write
from volumes.volume import Volume


def quiet(side: str, done: int, total: int) -> None:
    pass


def scan(seed: int, side: int = 24) -> NDArray[np.float32]:
    """A ball with texture, of its own radius and brightness."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))
    ball = (grid**2).sum(0) < generator.uniform(0.4, 0.7)
    return (ball * (generator.uniform(500, 900) + 100 * generator.random(ball.shape))).astype(np.float32)


def put(folder: Path, seeds: range, name: str = "{}.nii.gz", affine: NDArray[np.float64] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    affine = np.diag([4.0, 4.0, 4.0, 1.0]) if affine is None else affine
    for seed in seeds:
        path = folder / name.format(seed)
        format_ = "nii.gz" if path.name.endswith("nii.gz") else path.suffix[1:]
        write(Volume(scan(seed), affine), path, format=format_, provenance={})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scans")
    put(root / "reference", range(6))
    put(root / "pair", range(2))
    put(root / "train", range(100, 104))
    put(root / "generated", range(22, 24))
    put(root / "generated", range(24, 26), "{}.mha")
    put(root / "generated", range(26, 27), "{}.nrrd")
    return root


@pytest.fixture(scope="module")
def found(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    out = tmp_path_factory.mktemp("out") / "new"
    config = EvaluationConfig(folders / "reference", out, folders / "generated", train=folders / "train")
    return evaluate(config, None, quiet), out


def test_a_report_has_every_measure_and_its_files(found: tuple[Report, Path]) -> None:
    report, out = found
    stored = json.loads((out / "report.json").read_text())
    assert Report.model_validate(stored) == report
    assert {
        "fid", "kid", "mmd", "precision", "recall", "density", "coverage", "ms_ssim_pairs", "inception_score",
        "realism", "nearest", "detail", "features", "counts",
    } <= set(stored)  # fmt: skip
    assert stored["counts"] == {"reference": 6, "generated": 5, "train": 4}
    assert stored["features"]["name"] == "distortion"
    assert sorted(path.name for path in out.iterdir()) == ["features.npz", "report.html", "report.json"]
    with np.load(out / "features.npz") as arrays:
        assert arrays["generated"].shape == (5, report.features.size)
        assert arrays["generated_names"].tolist()[0] == "22.nii.gz"


def test_few_volumes_give_null_and_a_reason_instead_of_a_number(found: tuple[Report, Path]) -> None:
    report, _ = found
    assert report.coverage.value is None
    assert report.coverage.reason == "needs 50 volumes a side; there are 6 and 5"
    assert report.inception_score.value is None
    assert report.inception_score.reason
    assert report.fid.value is not None
    assert report.fid.note is not None
    assert "grows with fewer volumes" in report.fid.note
    assert report.fid.at_infinity is None


def test_the_floor_and_the_spread_are_of_equally_many(found: tuple[Report, Path]) -> None:
    for one in (found[0].fid, found[0].kid, found[0].mmd):
        assert one.floor is not None
        assert one.spread is not None
        assert one.floor.n == one.spread.n == 2


def test_the_page_loads_nothing_and_shows_what_files_are_called_as_text(folders: Path, tmp_path: Path) -> None:
    put(tmp_path / "generated", range(2), "<img src=x onerror=alert(1)>{}.nii.gz")
    evaluate(EvaluationConfig(folders / "pair", tmp_path / "out", tmp_path / "generated"), None, quiet)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert not {"http:", "https:", "<script", "<link"} & set(page.replace('"', " ").replace(">", " ").split())
    assert page.count("<svg") == 2


@pytest.mark.slow
def test_equal_seeds_give_equal_numbers_and_copies_are_found(folders: Path, tmp_path: Path) -> None:
    """Three training scans among the generated ones: the share of copies is 3 of 6, and the same in a second run."""
    put(tmp_path / "generated", range(100, 103), "copy-{}.nii.gz")
    put(tmp_path / "generated", range(200, 203))
    reports = []
    for k in range(2):
        config = EvaluationConfig(
            folders / "reference", tmp_path / f"out{k}", tmp_path / "generated", train=folders / "train", seed=3
        )
        reports.append(evaluate(config, None, quiet))
    assert reports[0] == reports[1]
    near = {one.name: one for one in reports[0].nearest.each}
    assert near["copy-101.nii.gz"].nearest == "101.nii.gz"
    assert near["copy-101.nii.gz"].distance == 0
    assert near["copy-101.nii.gz"].voxel_correlation == pytest.approx(1)
    below = reports[0].nearest.share_below
    assert below.value is not None
    assert below.value >= 0.5
    assert reports[0].nearest.among == "train"


def test_doubts_are_told_after_a_stop_as_in_one_go(folders: Path, tmp_path: Path) -> None:
    """A scan with a voxel that is no number, one file under two names, and training scans that were generated."""
    reference, broken = put(tmp_path / "reference", range(1)), scan(5)
    broken[3, 3, 3] = np.nan
    for name in ("broken.nii", "copy.nii"):
        write(Volume(broken, np.eye(4)), reference / name, format="nii", provenance={})
    put(tmp_path / "generated", range(100, 101), "taken-{}.nii.gz")

    def stop(side: str, done: int, total: int) -> None:
        if (side, done) == ("generated", 1):
            raise KeyboardInterrupt

    config = EvaluationConfig(reference, tmp_path / "out", tmp_path / "generated", train=folders / "train")
    with pytest.raises(KeyboardInterrupt):
        evaluate(config, None, stop)
    told = evaluate(config, None, quiet).warnings
    for sentence in (
        "broken.nii has voxels that are not finite; they were taken as background",
        "copy.nii has voxels that are not finite; they were taken as background",
        "1 of 3 reference volumes are copies of others among them, byte for byte.",
        "1 of 1 generated volumes are training scans, byte for byte.",
    ):
        assert sentence in told


def test_a_name_that_is_no_text_is_shown_as_one(folders: Path, tmp_path: Path) -> None:
    put(tmp_path / "generated", range(22, 23), os.fsdecode(b"\xff") + "{}.nii.gz")
    report = evaluate(EvaluationConfig(folders / "pair", tmp_path / "out", tmp_path / "generated"), None, quiet)
    assert [one.name for one in report.nearest.each] == ["\ufffd22.nii.gz"]


# -- of a model ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("models")
    card = write_tiny_hagan(root, "tiny", classes=["a", "b"], modality="MR")
    return Model(root / "tiny", card)


def test_a_models_volumes_are_those_of_its_seeds(folders: Path, model: Model, tmp_path: Path) -> None:
    config = EvaluationConfig(folders / "pair", tmp_path / "out", num_samples=3, seed=5)
    report = evaluate(config, model, quiet)
    assert [one.name for one in report.nearest.each] == ["seed 5 a", "seed 6 b", "seed 7 a"]
    assert report.generated.model_dump() == {
        "kind": "model", "name": "tiny", "sha256": model.card.sha256, "truncation": None, "class_label": None,
    }  # fmt: skip
    assert report.preparation.shape == (32, 32, 32)


@pytest.mark.slow
def test_the_encoder_of_the_model_can_be_the_judge(folders: Path, model: Model, tmp_path: Path) -> None:
    config = EvaluationConfig(folders / "reference", tmp_path / "out", num_samples=2, features="own", class_label="b")
    report = evaluate(config, model, quiet)
    assert report.features.model_dump() == {
        "name": "own", "sha256": model.card.sha256, "shape": (32, 32, 32), "size": 8,
    }  # fmt: skip
    assert report.generated.class_label == "b"


def test_a_stopped_evaluation_goes_on_after_what_it_finished(folders: Path, model: Model, tmp_path: Path) -> None:
    made: list[tuple[str, int]] = []

    def stop(side: str, done: int, total: int) -> None:
        made.append((side, done))
        if (side, done) == ("generated", 2):
            raise KeyboardInterrupt

    config = EvaluationConfig(folders / "pair", tmp_path / "out", num_samples=3)
    with pytest.raises(KeyboardInterrupt):
        evaluate(config, model, stop)
    parts = sorted((tmp_path / "out" / PARTS).iterdir())
    assert len(parts) == 4
    assert not (tmp_path / "out" / "report.json").exists()
    parts[0].write_bytes(b"cut short")
    times = {path: path.stat().st_mtime_ns for path in parts[1:]}
    kept: dict[Path, int] = {}

    def look(side: str, done: int, total: int) -> None:
        if (side, done) == ("generated", 3):
            kept.update({path: path.stat().st_mtime_ns for path in times})

    resumed = evaluate(config, model, look)
    assert kept == times
    whole = evaluate(EvaluationConfig(folders / "pair", tmp_path / "other", num_samples=3), model, quiet)
    assert resumed == whole


# -- what cannot be compared -----------------------------------------------------------------------------------------


def nothing(root: Path) -> None:
    (root / "generated").mkdir()


def one_reference(root: Path) -> None:
    put(root / "generated", range(1))
    put(root / "reference", range(1))


def not_finite(root: Path) -> None:
    put(root / "generated", range(1))
    broken = scan(5)
    broken[3, 3, 3] = np.nan
    write(Volume(broken, np.eye(4)), root / "generated" / "broken.nii", format="nii", provenance={})


def damaged(root: Path) -> None:
    put(root / "generated", range(1))
    (root / "generated" / "torn.nii.gz").write_bytes(b"\x1f\x8b torn")


@pytest.mark.parametrize(
    ("arrange", "sentence"),
    [
        (nothing, "there are no scans"),
        (one_reference, "the reference has one scan"),
        (not_finite, "broken.nii has voxels that are not finite"),
        (damaged, "torn.nii.gz: "),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    folders: Path, tmp_path: Path, arrange: Callable[[Path], None], sentence: str
) -> None:
    arrange(tmp_path)
    reference = tmp_path / "reference" if (tmp_path / "reference").exists() else folders / "pair"
    with pytest.raises(EvaluationRefused, match=sentence) as refused:
        evaluate(EvaluationConfig(reference, tmp_path / "out", tmp_path / "generated"), None, quiet)
    assert str(tmp_path) not in refused.value.detail


def test_a_folder_is_not_compared_with_itself(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folders / "reference")
    with pytest.raises(EvaluationRefused, match="the reference is the generated folder"):
        evaluate(EvaluationConfig(folders / "reference", tmp_path / "out", tmp_path / "link"), None, quiet)


def test_features_that_need_what_is_not_there_say_so(folders: Path, tmp_path: Path) -> None:
    for features, sentence in (("own", "give --model"), ("medicalnet", "--weights FILE")):
        config = EvaluationConfig(folders / "reference", tmp_path / "out", folders / "generated", features=features)
        with pytest.raises(EvaluationRefused, match=sentence):
            evaluate(config, None, quiet)


@pytest.mark.slow
def test_another_modality_another_size_and_shared_files_are_told(folders: Path, tmp_path: Path) -> None:
    """CT values on one side, a field of view four times as large, and a scan that lies on both sides."""
    generated = put(tmp_path / "generated", range(3), affine=np.diag([16.0, 4.0, 4.0, 1.0]))
    for seed in range(3):
        air = Volume(scan(seed) - 1000, np.diag([16.0, 4.0, 4.0, 1.0]))
        write(air, generated / f"{seed}.nii.gz", format="nii.gz", provenance={})
    put(generated, range(1), "shared-{}.nii.gz")
    report = evaluate(EvaluationConfig(folders / "reference", tmp_path / "out", generated), None, quiet)
    told = " ".join(report.warnings)
    assert "different modalities" in told
    assert "fields of view differ" in told
    assert "1 of 4 generated volumes are files of the reference" in told
