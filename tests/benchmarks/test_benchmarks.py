"""The benchmark on tiny sizes: its plain networks, its counting, its service, and what it writes. Nothing is timed."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.children import Bystanders, ChildFailed, ask, peak_bytes
from benchmarks.models import write_models
from benchmarks.names import TINY, WIDENED, model_name
from benchmarks.networks import run_pass
from benchmarks.plain.hagan import PlainHAGAN
from benchmarks.plot import draw
from benchmarks.requesting import request
from benchmarks.results import (
    LOW,
    PLAIN,
    Difference,
    FileWriting,
    Machine,
    Pass,
    Plan,
    Request,
    Run,
    Scoring,
    read,
    save,
)
from benchmarks.subjects import SUBJECTS
from benchmarks.table import markdown, put_between
from benchmarks.targets import judge
from benchmarks.weights.widened_hagan import write_widened
from benchmarks.work import hagan_work
from benchmarks.writing import DEMO, write_files
from latents.sample import gaussian
from model_store.card import LatentSpec, ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.families.hagan import ServedHAGAN
from model_store.load import load

ROOT = Path(__file__).parents[2]
SIZE, WIDTH, LATENT = 32, 4, 8


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of random weights: each subject at 32^3, and the tiny one."""
    folder = tmp_path_factory.mktemp("models")
    sizes = write_models(str(folder), [], [SIZE], WIDTH, LATENT)
    assert sizes["forward"]["hagan"] == sizes["encoder"]["hagan"] == sizes["request"]["bench-hagan-32"] == [SIZE]
    return folder


def card_of(models: Path, name: str) -> ModelCard:
    return Catalogue([models / name]).card(name)


# -- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["forward", "encoder"])
def test_the_plain_way_and_ours_agree_on_the_same_weights(models: Path, tmp_path: Path, part: str) -> None:
    for subject in SUBJECTS:
        name = model_name(subject, SIZE)
        if not (models / name).exists() or (part == "encoder" and not card_of(models, name).has_encoder):
            continue
        found, outputs = {}, {}
        for way in (PLAIN, "float32", "float32" + LOW):
            path = tmp_path / f"{way}.npy"
            reply = run_pass(part, subject, SIZE, way, str(models), str(path), "cpu", 1, 2, matrix_edge=128)
            found[way], outputs[way] = Pass(**reply), np.load(path)
        assert outputs[PLAIN].shape == outputs["float32"].shape == outputs["float32" + LOW].shape
        assert np.abs(outputs[PLAIN] - outputs["float32"]).max() < 5e-4
        assert np.abs(outputs[PLAIN] - outputs["float32" + LOW]).max() < 5e-4
        assert outputs[PLAIN].std() > 0.01
        assert len(found[PLAIN].seconds) == 2
        assert found[PLAIN].peak_bytes > 2**20
        assert found["float32"].fraction > 0


@pytest.mark.parametrize("size", [32, 64])
def test_arithmetic_is_counted_as_torch_counts_it(tmp_path: Path, size: int) -> None:
    """Of the plain network; the folded one has 8 taps for 27 where a convolution follows upsampling."""
    card = SUBJECTS["hagan"].write(tmp_path, "counted", size, WIDTH, LATENT)
    plain = PlainHAGAN.read(tmp_path / "counted", card, torch.device("cpu"))
    work = hagan_work(card)
    for expected, step in (
        (work.plain, lambda: plain.synthesise(torch.zeros(1, LATENT))),
        (work.encoder, lambda: plain.encode(torch.zeros(1, 1, size, size, size))),
    ):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            step()
        assert counter.get_total_flops() / 1e9 == pytest.approx(expected, rel=1e-6)
    assert work.folded < work.plain


def test_full_width_costs_what_the_prototype_s_did(models: Path) -> None:
    """About 140 GFLOP folded and 475 before at 256^3: the prototype's figures."""
    latent = LatentSpec(z_dim=1024, w_dim=1024)
    full = {"shape": (256, 256, 256), "network": {"width": 32}, "latent": latent}
    work = hagan_work(card_of(models, TINY[0]).model_copy(update=full))
    assert (round(work.folded), round(work.plain)) == (141, 472)


def test_the_widened_demo_is_the_demo(tmp_path: Path) -> None:
    """Piece by piece: the whole takes seconds and a gigabyte."""
    wide_latent = 64
    card = write_widened(tmp_path, WIDENED, 32, wide_latent)
    own, wide = (
        load(shelf / name, Catalogue([shelf]).card(name)) for shelf, name in ((SHIPPED, DEMO), (tmp_path, WIDENED))
    )
    assert isinstance(own, ServedHAGAN)
    assert isinstance(wide, ServedHAGAN)
    assert (wide.card, card.network["width"]) == (card, 2 * own.card.network["width"])
    z = gaussian(1, wide_latent)[None]
    start = own.generator.common(z[:, : own.card.latent.z_dim], last=3)
    assert torch.allclose(start.repeat_interleave(2, 1), wide.generator.common(z, last=3), atol=1e-4)
    random = torch.Generator().manual_seed(2)
    features = torch.randn(1, 32, 4, 8, 8, generator=random)
    volume = own.generator.high(features)
    assert torch.allclose(volume, wide.generator.high(features.repeat_interleave(2, 1)), atol=1e-4)
    assert own.encoder is not None
    assert wide.encoder is not None
    seen = own.encoder.high(volume)
    assert torch.allclose(seen.repeat_interleave(2, 1), wide.encoder.high(volume), atol=1e-4)
    cube = torch.randn(1, 32, 64, 64, 64, generator=random)
    found = wide.encoder.ground(cube.repeat_interleave(2, 1))[0]
    assert torch.allclose(own.encoder.ground(cube)[0], found[: own.card.latent.z_dim], atol=1e-4)
    assert not found[own.card.latent.z_dim :].any()


# -- processes -------------------------------------------------------------------------------------------------------


def test_a_measuring_process_that_ends_badly_is_told_with_its_last_words() -> None:
    with pytest.raises(ChildFailed, match=r"benchmarks\.nothing ended with 1: .*No module named benchmarks\.nothing"):
        ask("benchmarks.nothing", {})


def test_a_process_knows_its_peak_and_what_others_keep_busy() -> None:
    with Bystanders() as bystanders:
        kept = np.ones(2**24)
    assert (peak_bytes() or 0) > kept.nbytes
    assert bystanders.cores is None or bystanders.cores >= 0


# -- files and requests ----------------------------------------------------------------------------------------------


def test_files_are_written_both_ways(models: Path) -> None:
    rows = [FileWriting(**row) for row in write_files(str(models), f"bench-hagan-{SIZE}", False, 1)]
    assert [(row.step, row.way) for row in rows] == [
        ("int16 values", "numpy"),
        ("int16 values", "ours"),
        (".nii.gz", "nibabel"),
        (".nii.gz", "ours"),
    ]
    assert all(row.seconds[0] > 0 and row.size_bytes > 0 for row in rows)


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_a_request_is_split_into_stages_that_make_up_the_whole(models: Path, tmp_path: Path) -> None:
    name, size, *_ = TINY
    rows = request(Plan(threads=1), tmp_path, models, name, size, "float32", {1: 2, 2: 1})
    assert [row.num_samples for row in rows] == [1, 2]
    for row in rows:
        assert {"forward", "write", "http", "download"} <= set(row.stages[0])
        for seconds, stages in zip(row.seconds, row.stages, strict=True):
            assert sum(stages.values()) == pytest.approx(seconds, abs=1e-6)
        assert row.worker_peak_bytes is None or row.worker_peak_bytes > 2**27
    assert rows[1].size_bytes > 1.5 * rows[0].size_bytes


# -- what is written -------------------------------------------------------------------------------------------------

MACHINE = Machine(
    date="2026-01-31",
    processor="Some processor",
    cores=2,
    threads=2,
    capability="AVX512",
    memory_bytes=2**34,
    torch="2.13.0",
    python="3.12.0",
    device="cpu",
    precisions=("float32", "bfloat16"),
    matrix_gflops={"float32": 100.0, "bfloat16": 400.0},
    load_average=0.1,
)


def made_up_run(plain_s: float = 10.0) -> Run:
    """Round figures: forward 1 s, plain ten times as long."""
    gib = 2**30
    plain = Pass("forward", "hagan", 256, PLAIN, [plain_s], 4 * gib, None, 472.0, 100.0)
    ours = Pass("forward", "hagan", 256, "float32", [1.0], gib, None, 60.0, 100.0, Difference(1e-5, 1e-6), 0.2)
    stages = {"load": 0.0, "forward": 1.0, "write": 0.1, "http": 0.05, "download": 0.05}
    knocks = Request("bench-tiny", 32, "float32", 1, 1.0, [0.1], [{"http": 0.02, "other": 0.005}], 10**4, None)
    one = Request("bench-hagan-256", 256, "float32", 1, 3.0, [1.2], [stages], 10**7, gib, 0.1)
    many = Request("bench-hagan-256", 256, "float32", 8, 3.0, [9.6], [{"forward": 8.0}], 8 * 10**7, gib)
    files = [FileWriting("demo brain", ".nii.gz", "ours", [0.3], 10**7)]
    scores = [Scoring("brain-demo-256", [0.8, 0.7], [0.1, 0.0875])]
    failed = ["encoder: it broke"]
    return Run(Plan(), MACHINE, [plain, ours], files, [one, many], knocks, failed, 600.0, scores=scores)


def test_each_goal_is_held_against_its_figure() -> None:
    verdicts = {target.name: (target.measured, target.met) for target in judge(made_up_run())}
    assert verdicts == {
        "forward 256^3, float32, faster than plain": ("10x", True),
        "forward 256^3, bfloat16, faster than plain": ("-", None),
        "forward 256^3, float32, of the matrix-product rate": ("60 %", True),
        "forward 256^3, float32, peak memory of plain's": ("0.25", True),
        "encoder 256^3, float32, faster than plain": ("-", None),
        ".nii.gz of a 256^3 int16, one core": ("0.3 s", False),
        "score of a volume of brain-demo-256, of its forward pass": ("12.5 %", True),
        "request 256^3, float32, 1 sample: beside the forward pass, per sample": ("20 %", True),
        "request 256^3, float32, 8 samples: beside the forward pass, per sample": ("20 %", False),
        "worker, 256^3, float32, peak memory": ("1.07 GB", True),
        "patches of MEGAN, float32, of the matrix-product rate": ("-", None),
        "patches of MEGAN, float32, faster than one by one": ("-", None),
        "iteration of HA-GAN's training, bfloat16, faster than plain": ("-", None),
        "translation to 512^3, peak memory beyond weights and scan": ("-", None),
        "translation, device memory at 512^3 of that at 128^3": ("-", None),
        "queue and HTTP without the volume": ("25 ms", True),
    }
    slow = {target.name: target.met for target in judge(made_up_run(plain_s=5.9))}
    assert slow["forward 256^3, float32, faster than plain"] is False


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    run = made_up_run()
    save(run, tmp_path / "run.json", judge(run))
    assert read(tmp_path / "run.json") == run


def test_the_table_goes_between_its_markers_and_the_rest_stays(tmp_path: Path) -> None:
    run, page = made_up_run(), tmp_path / "page.md"
    page.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    put_between(page, "bench", markdown(run, judge(run), "images/bench.png"))
    text = page.read_text()
    assert text.startswith("before\n<!-- bench:begin -->\n")
    assert text.endswith("<!-- bench:end -->\nafter\n")
    assert "old" not in text
    assert re.search(
        r"^\| hagan 256\^3 \| float32 \| 1\.000 \| 10\.00 x \| 1\.00 GiB \| 0\.25 \| 60% of 100 \|", text, re.M
    )
    assert "Failed: encoder: it broke." in text
    with pytest.raises(ValueError, match="no markers"):
        put_between(page, "elsewhere", "")


@pytest.mark.parametrize("run", [made_up_run(), Run(Plan(), MACHINE)], ids=["whole", "empty"])
def test_a_run_is_drawn_even_with_parts_left_out(run: Run, tmp_path: Path) -> None:
    draw(run, tmp_path / "bench.png")
    with Image.open(tmp_path / "bench.png") as picture:
        assert picture.size == (1650, 1050)
        assert len(picture.convert("RGB").getcolors(2**24)) > 2


@pytest.mark.slow
def test_a_score_is_timed_beside_its_forward_pass() -> None:
    found = Scoring(
        **ask("benchmarks.beside.scoring", {"model": "head-style-128", "device": "cpu", "threads": 1, "repeats": 2})
    )
    assert (len(found.forward_seconds), len(found.score_seconds)) == (2, 2)
    assert 0 < found.share < 1


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_the_command_measures_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    options = [
        "--only",
        "writing",
        "--subjects",
        "hagan",
        "--sizes",
        str(SIZE),
        "--width",
        str(WIDTH),
        "--latent",
        str(LATENT),
        "--quick",
    ]
    options += ["--precisions", "float32", "--threads", "1", "--matrix-edge", "128", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = read(tmp_path / "bench-part.json")
    assert len(run.files) == 4
    assert run.machine.matrix_gflops["float32"] > 0
    assert not run.passes
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".png"}


@pytest.mark.timeout(400)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_the_gpu_bench_says_so_and_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--device", "cuda:0", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "There is no cuda:0 on this machine: nothing was measured." in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_page_has_the_markers_that_the_bench_fills() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    for marker in ("bench", "bench-gpu"):
        assert text.count(f"<!-- {marker}:begin -->") == text.count(f"<!-- {marker}:end -->") == 1
