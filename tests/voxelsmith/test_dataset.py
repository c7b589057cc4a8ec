"""voxelsmith dataset: volumes once each, whatever stops the command, and the tables that tell of them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import LoadImaged
from torch.utils.data import DataLoader
from typer.testing import CliRunner, Result

from tests.support.disks import fill, small_disk
from tests.support.models.references import write_any_reference
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import children, command_line, eventually
from voxelsmith import Client, VolumeDataset
from voxelsmith.cli import app
from voxelsmith.dataset.folder import HIDDEN
from voxelsmith.dataset.layouts import LAYOUTS
from voxelsmith.dataset.plan import PER_JOB, planned
from voxelsmith.job import Job
from voxelsmith.local import Stack
from voxelsmith.problems import DataSetRefused
from workers.writing.folder_sink import NOTES

CARD = {
    "name": "sorted",
    "sha256": "0" * 64,
    "verbs": ["generate"],
    "modality": "MR",
    "classes": ["mild", "severe"],
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VOXELSMITH_THREADS", "1")
    write_tiny_hagan(tmp_path / "models", "sorted", classes=("mild", "severe"))
    write_any_reference(tmp_path / "models" / "sorted")
    return tmp_path / "models"


def words_of(models: Path, out: Path, *words: object) -> list[str]:
    given = ["--models", models, "dataset", "--model", "sorted", "--out", out, "--dtype", "uint8", *words]
    return [str(word) for word in given]


def make(models: Path, out: Path, *words: object) -> Result:
    return CliRunner().invoke(app, words_of(models, out, *words), prog_name="voxelsmith")


def said(result: Result) -> str:
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())


def rows_of(out: Path) -> list[dict[str, Any]]:
    with (out / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def inodes(out: Path) -> dict[str, int]:
    """Of the volumes that are in their places: a file that is made again has another."""
    return {path.name: path.stat().st_ino for path in out.glob("*.nii.gz")}


def finished(out: Path) -> set[int]:
    """The inodes of all volumes in their places, and of those that the job at work has noted."""
    found = {*inodes(out).values()}
    for name in (NOTES, "provenance.json"):
        for told in (out / HIDDEN / "making").glob(f"*/{name}"):
            with suppress(FileNotFoundError):  # what is at work moves on
                names = [entry["name"] for entry in json.loads(told.read_text())["results"]]
                found |= {(told.parent / name).stat().st_ino for name in names}
    return found


@pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning")  # MONAI's, of a library that is not installed
def test_a_data_set_grows_and_tells_of_every_volume(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    measures = ("--measure", "volume_above:0", "--measure", "mean_intensity", "--measure", "realism")
    made = make(models, out, "--count", 2, "--seed", 7, *measures)
    assert made.exit_code == 0, made.output
    before = inodes(out)
    grown = make(models, out, "--count", 3, *measures)
    assert grown.exit_code == 0, grown.output
    rows = rows_of(out)
    assert [row["file"] for row in rows] == [
        "000000_seed-7_class-mild.nii.gz", "000001_seed-8_class-severe.nii.gz", "000002_seed-9_class-mild.nii.gz"
    ]  # fmt: skip
    assert [(row["seed"], row["class"]) for row in rows] == [("7", "mild"), ("8", "severe"), ("9", "mild")]
    assert all(float(row["volume_above_0"]) > 0 and 0 < float(row["mean_intensity"]) < 255 for row in rows)
    assert all(0 < float(row["realism"]) < 1 for row in rows)
    assert before.items() <= inodes(out).items()
    (out / rows[0]["file"]).unlink()
    assert make(models, out, "--count", 2, *measures).exit_code == 0
    assert rows_of(out) == rows
    words = ["generate", "--model", "sorted", "--seed", "8", "--class", "severe", "--dtype", "uint8", "--no-preview"]
    alone = CliRunner().invoke(app, ["--models", str(models), *words, "--out", str(tmp_path / "alone"), "--json"])
    assert json.loads(alone.stdout)["results"][0]["sha256"] == rows[1]["sha256"]

    volumes = VolumeDataset(out)
    batch = next(iter(DataLoader(volumes, batch_size=3)))
    assert (batch["image"].shape, batch["image"].dtype) == ((3, 1, 32, 32, 32), torch.float32)
    assert batch["class_index"].tolist() == [0, 1, 0]
    loaded = CacheDataset(
        volumes.entries, LoadImaged("image", "NibabelReader", ensure_channel_first=True), progress=False
    )[1]
    assert torch.equal(loaded["image"].as_tensor(), batch["image"][1])
    assert torch.equal(loaded["image"].affine, batch["affine"][1])


def test_layouts_have_the_names_that_their_readers_know(models: Path, tmp_path: Path) -> None:
    bids, nnunet = tmp_path / "bids", tmp_path / "nnunet"
    assert make(models, bids, "--count", 2, "--layout", "bids", "--suffix", "T1w").exit_code == 0
    scan = bids / "sub-000001" / "anat" / "sub-000001_rec-synthetic_T1w.nii.gz"
    assert scan.is_file()
    sidecar = json.loads(scan.with_name(scan.name.replace(".nii.gz", ".json")).read_text())
    assert (sidecar["Synthetic"], sidecar["Class"], sidecar["SkullStripped"]) == (True, "severe", False)
    assert sidecar["SHA256"] == rows_of(bids)[1]["sha256"]
    description = json.loads((bids / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "voxelsmith")
    people = (bids / "participants.tsv").read_text().splitlines()
    assert (people[0], len(people)) == ("participant_id\tseed\tclass", 3)
    assert make(models, nnunet, "--count", 1, "--layout", "nnunet").exit_code == 0
    assert (nnunet / "imagesTr" / "sorted_000000_0000.nii.gz").is_file()
    told = json.loads((nnunet / "dataset.json").read_text())
    assert (told["channel_names"], told["numTraining"], told["file_ending"]) == ({"0": "CT"}, 1, ".nii.gz")


def test_a_folder_takes_one_data_set(models: Path, tmp_path: Path) -> None:
    out, strange = tmp_path / "out", tmp_path / "strange"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    refused = make(models, strange, "--count", 1)
    assert (refused.exit_code, "is not empty and holds no data set" in said(refused)) == (1, True)
    with pytest.raises(FileNotFoundError):
        VolumeDataset(strange)
    assert make(models, out, "--count", 1, "--truncation", "-1").exit_code == 2
    assert make(models, out, "--count", 1, "--seed", 1).exit_code == 0, "a refused wish binds nobody"
    for words, told in ((("--seed", 2), "seed differs"), (("--classes", "mild"), "classes differs")):
        refused = make(models, out, "--count", 1, *words)
        assert (refused.exit_code, told in said(refused)) == (1, True), refused.stderr


def test_classes_come_in_turn_and_each_job_has_one() -> None:
    plan = planned(CARD, count=3 * PER_JOB, seed=5, classes="mild,mild,severe")
    assert [plan.class_of(index) for index in range(4)] == ["mild", "mild", "severe", "mild"]
    pieces = list(plan.jobs(made={0, 1}))
    assert sorted(index for piece in pieces for index in piece.indices) == list(range(2, 3 * PER_JOB))
    assert all(len({plan.class_of(index) for index in piece.indices}) == 1 for piece in pieces)
    assert all(len(piece.body["seeds"]) <= PER_JOB for piece in pieces)
    named = planned(CARD, count=1, seed=5, output={"format": "dicom"})
    assert LAYOUTS["plain"].place(named, 0) == "000000_seed-5_class-mild.dcm.zip"
    assert len({piece.key for piece in pieces} | {piece.key for piece in plan.jobs()}) == 5, "one piece is in both"


@pytest.mark.parametrize(
    ("card", "wishes", "told"),
    [
        ({}, {"count": 0}, "/count: "),
        ({}, {"seed": 2**53 - 65}, "/seed: at most"),
        ({}, {"measures": ["volume_above"]}, "a measure is"),
        ({}, {"measures": ["volume_above:nan"]}, "a measure is"),
        ({}, {"measures": ["realism:1"]}, "a measure is"),
        ({}, {"measures": ["realism"]}, "no reference of scans"),
        ({}, {"measures": ["mean_intensity"], "output": {"format": "npy"}}, "cannot be read again"),
        ({}, {"measures": ["mean_intensity"], "output": {"format": "dicom"}}, "cannot be read again"),
        ({}, {"classes": "grave"}, "classes are balanced, or some of mild, severe"),
        ({"classes": []}, {"classes": "mild"}, "has no classes"),
        ({"verbs": ["translate"]}, {}, "makes no volumes of its own"),
        ({"broken": True, "reason": "it is damaged"}, {}, "the model is broken: it is damaged"),
        ({"modality": "CT"}, {"layout": "bids"}, "BIDS has names for MR alone"),
        ({}, {"layout": "bids", "suffix": "../T1w"}, "/suffix: "),
        ({}, {"layout": "nnunet", "output": {"format": "nii"}}, "/output/format: of the layout nnunet must be"),
        ({}, {"output": {"format": "nifty"}}, "/output/format: "),
        ({}, {"truncation": -1.0}, "/truncation: "),
    ],
)
def test_what_cannot_be_a_data_set_is_told(card: dict[str, Any], wishes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataSetRefused, match=re.escape(told)):
        planned({**CARD, **card}, **{"count": 2, **wishes})


def test_a_refusal_names_the_option_and_comes_before_anything_is_made(models: Path, tmp_path: Path) -> None:
    refused = make(models, tmp_path / "out", "--count", 1, "--layout", "nnunet", "--format", "nii")
    assert (refused.exit_code, "--format: of the layout nnunet must be" in said(refused)) == (2, True)
    large = ("--count", 1_000_000, "--shape", "1024,1024,1024", "--format", "nii")
    refused = make(models, tmp_path / "out", *large)
    assert (refused.exit_code, "has room for" in said(refused)) == (1, True), refused.stderr
    assert not list((tmp_path / "out").rglob("*.nii*"))


@pytest.mark.parametrize("words", [("--num-samples", "65"), ("--seeds", ",".join("1" * 65))])
def test_too_many_samples_for_one_job_name_the_command_that_makes_more(models: Path, words: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, ["--models", str(models), "generate", "--model", "sorted", *words])
    assert refused.exit_code == 2
    assert "`voxelsmith dataset` makes more" in said(refused)


def test_a_servers_data_set_is_that_of_this_process_and_leaves_no_jobs(
    stack: Stack, models: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert make(models, here, "--count", 4, "--seed", 3).exit_code == 0
    told: list[tuple[int, int, float | None]] = []
    with Client(stack.url) as client:
        wishes: dict[str, Any] = {"count": 4, "output": {"dtype": "uint8"}}
        plan = client.dataset("sorted", there, seed=3, on_volume=lambda *facts: told.append(facts), **wishes)
        assert (told[0][:2], told[-1][:2]) == ((0, 4), (4, 4))
        assert told[-1][2] == 0
        assert not [job for job in client.jobs(model="sorted") if job.record["request"].get("seeds") == [3, 5]]
        assert client.dataset("sorted", there, **wishes) == plan
        with pytest.raises(DataSetRefused, match="truncation differs"):
            client.dataset("sorted", there, truncation=0.5, **wishes)
    assert [row["sha256"] for row in rows_of(here)] == [row["sha256"] for row in rows_of(there)]


@pytest.mark.fault
def test_what_a_stopped_server_job_had_finished_is_taken(stack: Stack, tmp_path: Path) -> None:
    """As if the command had been killed, and somebody had canceled its jobs meanwhile: one runs, one waits."""
    out, wishes = tmp_path / "out", {"count": PER_JOB + 2, "seed": 11, "classes": "mild"}
    with Client(stack.url) as client:
        (worker,) = (pid for pid in children(os.getpid()) if "workers.main" in command_line(pid))
        before, mine = {job.id for job in client.jobs(model="sorted")}, dict[int, Job]()

        def cancel(done: int, _total: int, _left_s: float | None) -> None:
            """The worker stands still until both jobs are there and the waiting one is canceled."""
            if not mine:  # twice: before there are jobs, and when both are
                os.kill(worker, signal.SIGSTOP)
                own = [job for job in client.jobs(model="sorted") if job.id not in before]
                mine.update((job.record["volumes"], job) for job in own)
            if 2 in mine and not mine[2].is_done:
                mine[2].cancel()
                os.kill(worker, signal.SIGCONT)
            if done:
                mine[PER_JOB].cancel()
                raise KeyboardInterrupt

        try:
            with pytest.raises(KeyboardInterrupt):
                client.dataset("sorted", out, on_volume=cancel, **wishes)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert mine[2].wait(60).state == "canceled"
        mine[PER_JOB].wait(60)
        made = [sorted(entry["sha256"] for entry in job.results) for job in mine.values() if job.results]
        assert 0 < sum(map(len, made)) < PER_JOB + 2
        client.dataset("sorted", out, **wishes)
    assert [row["seed"] for row in rows_of(out)] == [str(seed) for seed in range(11, 13 + PER_JOB)]
    pieces = [json.loads(path.read_text()) for path in (out / HIDDEN / "done").iterdir()]
    digests = [sorted(row["sha256"] for row in rows) for rows in pieces]
    assert all(kept in digests for kept in made), "taken, and not made again"
    assert not list((out / HIDDEN / "making").iterdir())


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_data_set_killed_twice_makes_nothing_twice(models: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ("--count", 200, "--seed", 3, "--threads", 1)
    command = [sys.executable, "-P", "-m", "voxelsmith", *words_of(models, out, *words)]
    kept: set[int] = set()
    for enough in (40, 110):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            eventually(lambda enough=enough: len(finished(out)) >= enough, 240)
            process.send_signal(signal.SIGKILL)
        assert kept <= finished(out)
        assert not (out / "manifest.csv").exists()
        kept = finished(out)
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert kept <= set(inodes(out).values())
    rows = rows_of(out)
    assert len(rows) == len(inodes(out)) == 200
    assert not list((out / HIDDEN / "making").iterdir())
    command[command.index(str(out))] = str(whole)
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert [row["sha256"] for row in rows] == [row["sha256"] for row in rows_of(whole)]


@pytest.mark.fault
def test_a_data_set_whose_disk_is_full_says_how_far_it_came_and_goes_on(models: Path, tmp_path: Path) -> None:
    words = ("--count", 24, "--dtype", "float32", "--seed", 3)
    with small_disk("4m") as disk:
        out, other = disk / "out", disk / "other"
        other.write_bytes(b"x" * 3_000_000)
        full = make(models, out, *words)
        assert (full.exit_code, "of 24 volumes are made" in said(full)) == (1, True), full.stderr
        assert not list(disk.rglob(".voxelsmith-????????????????"))
        there = {path.name: path.stat().st_ino for path in (out / HIDDEN / "making").rglob("seed-*.nii.gz")}
        assert len(there) > 3
        assert not inodes(out), "nothing of a job that is not finished has its final name"
        other.unlink()
        fill(other)
        full = make(models, out, *words)
        assert (full.exit_code, "has room for 0 MiB; the 24 volumes to come take about" in said(full)) == (1, True)
        other.unlink()
        assert make(models, out, *words).exit_code == 0
        assert set(there.values()) <= set(inodes(out).values())
        rows = rows_of(out)
    assert make(models, tmp_path / "whole", *words).exit_code == 0
    assert rows == rows_of(tmp_path / "whole")
