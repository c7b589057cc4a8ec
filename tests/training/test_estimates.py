"""What a run says of its memory before it begins, and of its time once its iterations are known."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from training.engine.family import Family
from training.engine.trainer import Trainer
from training.estimates import memory
from training.estimates.memory import Counted, MemoryEstimate, count
from training.estimates.pace import Pace, duration
from training.hagan import trainer as hagan
from training.hagan.config import HAGANConfig
from training.megan import trainer as megan
from training.megan.config import MEGANConfig
from training.progressive import trainer as progressive
from training.progressive.config import EncoderConfig, ProGANConfig, StyleGANConfig
from training.split_shuffle import trainer as split_shuffle
from training.split_shuffle.config import SplitShuffleConfig
from voxelsmith.cli import app

PLACES = {"data": Path(), "out": Path()}
GROWING: dict[str, Any] = {
    **PLACES, "base": (1, 2, 1), "stages": 2, "channels": 4, "critic_channels": 4, "z_dim": 8, "stage_samples": 4,
    "batch_size": 2, "critic_steps": 1,
}  # fmt: skip
SPLIT: dict[str, Any] = {**PLACES, "shape": (4, 8, 4), "doublings": 2, "channels": 4, "z_dim": 4, "w_dim": 4}
HAGAN = HAGANConfig(**PLACES, size=32, width=8, latent_dim=8, batch_size=1)
RUNS: list[tuple[Family[Any, Any], Any]] = [
    (progressive.FAMILY, StyleGANConfig(**GROWING, w_dim=8, mapping_layers=2)),
]
LONG_TO_COUNT: list[tuple[Family[Any, Any], Any]] = [
    (hagan.FAMILY, HAGAN),
    (progressive.FAMILY, ProGANConfig(**GROWING)),
    (split_shuffle.FAMILY, SplitShuffleConfig(**SPLIT, batch_size=4)),
    (megan.FAMILY, MEGANConfig(**PLACES, lr_size=16, doublings=1, lr_width=4, hr_width=4, critic_width=4,
                               lr_blocks=1, hr_blocks=1, batch_size=1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "config"), [*RUNS, *(pytest.param(*run, marks=pytest.mark.slow) for run in LONG_TO_COUNT)]
)
def test_tensors_without_values_count_what_those_with_values_hold(family: Family[Any, Any], config: Any) -> None:
    trainer = family.trainer(config)
    before = {key: value.clone() for key, value in trainer.networks.state_dict().items()}
    random = torch.get_rng_state()
    counted, held = count(trainer, family, may_have_values=False), count(trainer, family)
    assert counted.networks == held.networks >= sum(p.nbytes for p in trainer.networks.parameters())
    assert counted.peak == pytest.approx(held.peak, rel=0.1)
    assert counted.peak > 3 * counted.networks or family is not hagan.FAMILY  # gradients, and two moments of Adam
    assert trainer.iteration == 0
    assert not any(optimiser.state for optimiser in trainer.optimisers.values())
    assert all(torch.equal(value, before[key]) for key, value in trainer.networks.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_run_that_may_not_fit_is_told_what_lowers_it() -> None:
    counted = Counted(networks=10**9, peak=4 * 10**9)
    fits = MemoryEstimate(HAGANConfig, "cpu", counted, 10**9, 10**8, 8 * 10**9)
    assert list(fits.lines()) == ["memory: about 7.1 GB on cpu, of which networks 1.0 GB; 8.0 GB can be had"]
    assert not list(fits.warnings())
    (warning,) = MemoryEstimate(HAGANConfig, "cpu", counted, 10**9, 10**8, 7 * 10**9).warnings()
    makes_up = "; --accumulate makes up for a smaller batch"
    assert warning.endswith("less is needed with a lower --batch-size or --size or --width" + makes_up)
    (warning,) = MemoryEstimate(EncoderConfig, "cuda:0", counted, 0, 10**12, 10**9).warnings()
    assert "about 6.0 GB" in warning
    assert warning.endswith("a lower --batch-size" + makes_up)
    (warning,) = MemoryEstimate(MEGANConfig, "cpu", counted, 0, 0, 10**9).warnings()
    assert warning.endswith("--hr-width")


def test_what_torch_cannot_count_ends_no_run(caplog: pytest.LogCaptureFixture) -> None:
    class WithoutExample(hagan.HAGANFamily):
        def example(self, trainer: hagan.HAGANTrainer, iteration: int) -> list[torch.Tensor]:
            raise NotImplementedError

    family, config = WithoutExample(), HAGAN
    assert memory.estimate(family.trainer(config), family) is None
    assert "cannot be counted here: NotImplementedError" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(50, "50 s"), (720, "12 min"), (15_600, "4 h 20 min"), (3 * 86_400 + 4 * 3600, "3 d 4 h"), (86_399, "1 d 0 h")],
)
def test_a_duration_has_two_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


class Counting(Trainer[HAGANConfig]):
    """Iterations and nothing else, of two kinds."""

    def step(self, real: torch.Tensor, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def sample(self, count: int) -> torch.Tensor:
        raise NotImplementedError

    def alike_until(self) -> int | None:
        return 6 if self.iteration < 6 else None


def test_the_pace_is_told_after_three_iterations_of_each_kind() -> None:
    trainer = Counting(HAGAN)
    pace, told = Pace(trainer, 12), {}
    for _ in range(12):
        trainer.iteration += 1
        if (found := pace.after_step()) is not None:
            told[trainer.iteration] = next(iter(found.lines()))
    assert list(told) == [3, 9]
    assert told[3].endswith("0 s to iteration 6 of 12; those after it are others, told then")
    assert told[9].endswith("an iteration: 0 s to iteration 12")


def test_the_command_tells_of_both(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    array = np.random.default_rng(0).integers(0, 900, (9, 12, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), scans / "scan.nii.gz")
    sizes = ["--base", "1", "2", "1", "--stages", "2", "--channels", "2", "--critic-channels", "2", "--z-dim", "4",
             "--stage-samples", "4", "--batch-size", "1", "--critic-steps", "1", "--iterations", "6"]  # fmt: skip
    places = ["--data", str(scans), "--out", str(tmp_path / "run"), "--modality", "MR"]
    done = CliRunner().invoke(app, ["train", "progan", *places, *sizes])
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("iteration 1 of 6"))
    assert any(line.startswith("memory: about ") for line in lines[:first])
    assert any(line.endswith("to iteration 6") and line.startswith("about ") for line in lines[first:])
