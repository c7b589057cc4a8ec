"""The arithmetic of the 3D-StyleGAN that the benchmark holds against the machine's rate."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain.stylegan import PlainStyleGAN
from benchmarks.weights.random_stylegan import stylegan_work, write_stylegan


def test_arithmetic_is_counted_as_torch_counts_it(tmp_path: Path) -> None:
    """The plain generator's, but for its dense layers on latents; the folded one has 8 taps for 27 after upsampling."""
    card = write_stylegan(tmp_path, "counted", 32, 4, 8)
    plain = PlainStyleGAN.read(tmp_path / "counted", card, torch.device("cpu"))
    work = stylegan_work(card)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain.synthesise(torch.zeros(1, 8))
    assert work.plain == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-3)
    assert work.folded < work.plain


def test_a_256_cube_costs_690_gflop_of_a_thousand(tmp_path: Path) -> None:
    """At c = 16: folding takes from the fifteen convolutions only the five that double, and those cost the least."""
    card = write_stylegan(tmp_path, "m", 32, 4, 8)
    full = {"shape": (256, 256, 256), "network": {"base": [8, 8, 8], "channels": [128, 128, 64, 32, 16]}}
    work = stylegan_work(card.model_copy(update=full))
    assert (round(work.folded), round(work.plain)) == (688, 997)
