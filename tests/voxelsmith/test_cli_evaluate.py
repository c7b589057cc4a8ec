"""voxelsmith evaluate: its report on standard output, and wrong use in a sentence."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from evaluation.report import Estimate, Spread
from model_store.card import REFERENCE, ModelCard
from model_store.catalogue import Catalogue
from model_store.features.reference import read
from tests.support.disks import read_only
from tests.support.models.tiny_models import write_tiny_hagan
from volumes.files import write
from volumes.volume import Volume
from voxelsmith.cli import app
from voxelsmith.commands.evaluate import row_of


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (tmp_path / "train").mkdir()
    for seed in range(2):
        array = np.random.default_rng(seed).random((24, 24, 24), dtype=np.float32)
        write(Volume(array, np.eye(4)), folder / f"{seed}.nii.gz", format="nii.gz", provenance={})
    return folder


@pytest.fixture
def run(tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    write_tiny_hagan(tmp_path / "models", "tiny", encoder=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def invoke(*args: object) -> Result:
        words = ["--models", tmp_path / "models", "evaluate", "--reference", scans, "--out", tmp_path / "out", *args]
        return CliRunner().invoke(app, [str(word) for word in words], prog_name="voxelsmith")

    return invoke


def test_the_report_can_be_printed_as_json_and_left_with_the_model(
    run: Callable[..., Result], scans: Path, tmp_path: Path
) -> None:
    for k, path in enumerate(scans.iterdir()):
        for copy in range(4):
            shutil.copy(path, scans.with_name("train") / f"{k}{copy}.nii.gz")
    done = run(
        *("--model", "tiny", "--num-samples", 2, "--seed", 7, "--json", "--attach"),
        *("--train", scans.with_name("train")),
    )
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["name"] for one in printed["nearest"]["each"]] == ["seed 7", "seed 8"]
    attached = Catalogue([tmp_path / "models"]).evaluations()["tiny"]
    assert attached.measures["fid"].value == printed["fid"]["value"]
    assert attached.seed == 7
    card = Catalogue([tmp_path / "models"]).card("tiny")
    assert isinstance(card, ModelCard)
    assert card.has_reference
    left = read(tmp_path / "models" / "tiny" / REFERENCE, card)
    assert (left.about.among, left.about.features, len(left.features)) == ("train", "distortion", 8)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_made(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    with read_only(tmp_path / "models" / "tiny"):
        refused = run("--model", "tiny", "--num-samples", 2, "--attach")
    assert refused.exit_code == 1
    assert "--attach: the model's folder cannot be written" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_ctrl_c_says_that_the_same_command_goes_on(run: Callable[..., Result], tmp_path: Path) -> None:
    parts, ended = tmp_path / "out" / ".parts", threading.Event()

    def interrupt() -> None:
        while not (ended.is_set() or (parts.is_dir() and len(list(parts.glob("*.npz"))) > 3)):
            time.sleep(0.01)
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    watch = threading.Thread(target=interrupt)
    watch.start()
    stopped = run("--model", "tiny", "--num-samples", 200)
    ended.set()
    watch.join()
    assert stopped.exit_code == 130
    assert "interrupted: the same command goes on after what it finished" in stopped.stderr
    assert not (tmp_path / "out" / "report.json").exists()
    assert 3 < len(list(parts.glob("*.npz"))) < 202


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "one of --model and --generated"),
        (["--model", "tiny", "--generated", "."], 2, "one of --model and --generated"),
        (["--model", "tiny", "--prepared-as", "tiny"], 2, "--prepared-as belongs to --generated"),
        (["--generated", ".", "--attach"], 2, "--attach belongs to --model"),
        (["--model", "none"], 1, "there is no model of that name"),
        (["--model", "tiny", "--truncation", "0"], 2, "above 0"),
        (["--model", "tiny", "--truncation", "inf"], 2, "--truncation: Input should be a finite number"),
        (["--model", "tiny", "--seed", str(2**53)], 2, "--seed: Input should be less than"),
        (["--model", "tiny", "--num-samples", "0"], 2, "greater than or equal to 1"),
        (["--model", "tiny", "--device", "foo"], 2, "a device is cpu, or cuda:N"),
        (["--model", "tiny", "--device", "cuda:999"], 2, "there is no cuda:999 on this machine"),
        (["--generated", ".", "--class", "a"], 2, "--class belongs to --model"),
        (["--generated", ".", "--truncation", "1"], 2, "--truncation belongs to --model"),
        (["--generated", ".", "--num-samples", "512"], 2, "--num-samples belongs to --model"),
        (["--model", "tiny", "--features", "own"], 1, "this model has no encoder"),
        (["--model", "tiny", "--features", "medicalnet"], 1, "--weights FILE"),
        (["--model", "tiny", "--class", "a"], 2, "this model has no classes"),
    ],
)
def test_wrong_use_ends_with_a_sentence(run: Callable[..., Result], words: list[str], code: int, sentence: str) -> None:
    done = run(*words)
    assert done.exit_code == code
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_the_table_holds_few_against_few_and_tells_what_scans_have() -> None:
    few, floor = (Spread(n=2, low=0.0, median=median, high=9.0, draws=20) for median in (0.5, 0.25))
    told = row_of("fid", Estimate(value=0.125, note="few", spread=few, floor=floor), None)
    assert told == ("fid", "0.125", "0.5 at n = 2", "0.25 at n = 2", "few")
    told = row_of("detail", Estimate(value=0.01), Estimate(value=0.14))
    assert told == ("detail", "0.01", "", "0.14", "")
    told = row_of("kid", Estimate(value=None, reason="too few"), None)
    assert told == ("kid", "-", "", "", "too few")
