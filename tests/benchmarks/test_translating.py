"""The benchmark of MEGAN on tiny networks: its plain way, its memory, its rows. Nothing is timed."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.results import Difference, Patches, Plan, Run, Translation, read, save
from benchmarks.table import markdown
from benchmarks.targets import judge
from benchmarks.translating import measured
from tests.benchmarks.test_benchmarks import MACHINE

WHERE = {"device": "cpu", "threads": 1}


def test_the_plain_way_and_ours_agree_on_the_same_patches(tmp_path: Path) -> None:
    found = measured("patches", str(tmp_path), **WHERE, width=4, repeats=1, matrix_edge=64)
    row = Patches(**found | {"difference": Difference(**found["difference"])})
    assert 0 < row.difference.largest < 5e-4
    assert row.fraction > 0
    assert len(row.seconds) == len(row.plain_seconds) == 1


def test_a_translation_is_measured_as_a_worker_makes_it(tmp_path: Path) -> None:
    asked = {"folder": str(tmp_path), **WHERE, "width": 2, "size": 32}
    measured("write", **asked)
    scan = nibabel.load(tmp_path / "scan-32.nii")
    assert scan.shape == (32, 32, 32)
    assert np.asarray(scan.dataobj).max() > 300
    row = Translation(**measured("memory", **asked))
    assert nibabel.load(tmp_path / "out-32" / "000.nii").shape == (32, 32, 32)
    assert row.device_bytes > 4 * 2 * 32**3
    assert row.beyond_bytes == row.peak_bytes - row.weights_bytes - 2 * 32**3 > 2**27


def run() -> Run:
    patches = Patches(64, 6, [0.25], [0.6], 36.0, 200.0, Difference(1e-5, 1e-6))
    small, large = (Translation(size, 9.0, 2 * 10**9, 10**8, 2 * size**3, 10**8) for size in (128, 512))
    return Run(Plan(), MACHINE, patches=patches, translations=[small, large])


def test_goals_rows_and_files_of_a_run(tmp_path: Path) -> None:
    verdicts = {target.name: (target.measured, target.met) for target in judge(run()) if target.met is not None}
    assert verdicts == {
        "patches of MEGAN, float32, of the matrix-product rate": ("72 %", True),
        "patches of MEGAN, float32, faster than one by one": ("2.4x", True),
        "translation to 512^3, peak memory beyond weights and scan": ("1.63 GB", False),
        "translation, device memory at 512^3 of that at 128^3": ("1", True),
    }
    grown = [replace(row, device_bytes=row.size) for row in run().translations]
    (grows,) = (target for target in judge(replace(run(), translations=grown)) if "device memory" in target.name)
    assert grows.met is False
    save(run(), tmp_path / "run.json", [])
    assert read(tmp_path / "run.json") == run()
    text = markdown(run(), [], "x.png")
    assert "| HR, width 64, 6 blocks | ours | 4.00 | 2.40 x | 72% of 200 |" in text
    assert "| 512^3 | 9 | 1.86 GiB | 1.52 GiB | 95 MiB |" in text
