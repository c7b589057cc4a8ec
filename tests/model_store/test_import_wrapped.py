"""Checkpoints as training scripts write them: wrapped names, weights among other things, numbers of numpy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_store.importers.checkpoint import read_tensors
from model_store.importers.jail import ImportRefused

WEIGHTS = {"fc1.weight": torch.arange(6.0).view(2, 3), "sub_G.bn1.bias": torch.ones(2)}


def renamed(change: Callable[[str], str]) -> dict[str, torch.Tensor]:
    return {change(name): tensor for name, tensor in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [
        renamed(lambda name: f"_orig_mod.{name}"),
        {"model": renamed(lambda name: f"module._orig_mod.{name}")},
        {"model": renamed(lambda name: f"_orig_mod.module.{name}")},
        renamed(lambda name: name.replace("sub_G.", "sub_G._orig_mod.")),
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model_state_dict": WEIGHTS, "optimizer_state_dict": {"state": {}, "param_groups": []}},
        {"model": {"state_dict": WEIGHTS, "config": {"size": 128}}, "args": None},
        {"model": WEIGHTS, "best": np.float32(0.25), "step": np.int64(7), "losses": np.zeros(3)},
    ],
    ids=["compiled", "both", "the other way", "a part compiled", "state_dict", "model_state_dict", "nested", "numpy"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_are_found_by_their_plain_names(tmp_path: Path, content: dict[str, Any], protocol: int) -> None:
    torch.save(content, tmp_path / "x.pth", pickle_protocol=protocol)
    found = read_tensors(tmp_path / "x.pth", "generator", WEIGHTS)
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": WEIGHTS, "state_dict": WEIGHTS}, "under model and state_dict"),
        ({"state_dict": WEIGHTS, "a": torch.ones(1)}, "both under 'state_dict' and beside it"),
        ({**WEIGHTS, "_orig_mod.x": torch.ones(1)}, "with and without the prefix '_orig_mod.'"),
        ({"a.b": torch.ones(1), "a._orig_mod.b": torch.ones(1)}, "differ by a wrapper's prefix alone"),
        ({"model": {"model": {"model": {"model": WEIGHTS}}}}, "no 'model' entry"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ImportRefused, match=message):
        read_tensors(tmp_path / "x.pth", "generator", [])


@pytest.mark.parametrize("thing", [np.load, np.memmap, np.fromfile])
def test_nothing_else_of_numpy_is_taken(tmp_path: Path, thing: object) -> None:
    torch.save({"model": WEIGHTS, "best": thing}, tmp_path / "x.pth")
    with pytest.raises(ImportRefused, match="asks for numpy"):
        read_tensors(tmp_path / "x.pth", "generator", [])
