"""Checkpoints as training scripts write them: wrapped names, weights among other things, numbers of numpy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model_store.importers.checkpoint import read_tensors
from model_store.importers.hagan import import_hagan
from model_store.importers.hub_folder import config_in, weights_in
from model_store.importers.jail import ImportRefused
from model_store.load import load
from tests.support.models.hagan_files import encoder_state, generator_state, sub_encoder_state

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
        {"model": renamed(lambda name: f"old.{name}"), "ema": WEIGHTS},
        {"ema": {"decay": 0.99, "shadow": WEIGHTS}},
        {"g": renamed(lambda name: f"old.{name}"), "g_ema": WEIGHTS, "d": {"x": torch.ones(1)}},
        {"n_averaged": torch.tensor(3), **renamed(lambda name: f"module.{name}")},
        {
            "state_dict": {
                **renamed(lambda name: f"generator.{name}"),
                **renamed(lambda name: f"discriminator.{name}"),
                "loss.weight": torch.ones(1),
            },
            "pytorch-lightning_version": "2.5.0",
            "hyper_parameters": {"latent": 8},
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        },
        {"state_dict": renamed(lambda name: f"netG._orig_mod.module.{name}")},
    ],
    ids=[
        *("compiled", "both", "the other way", "a part compiled", "state_dict", "model_state_dict", "nested", "numpy"),
        *("ema", "shadow", "g_ema", "AveragedModel", "Lightning", "a compiled part of Lightning"),
    ],
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


@pytest.mark.parametrize("name", ["model.safetensors", "weights.pth", "pytorch_model.bin"])
def test_safetensors_are_read_under_any_name(tmp_path: Path, name: str) -> None:
    save_file(renamed(lambda name: f"module.generator.{name}"), tmp_path / name)
    found = read_tensors(tmp_path / name, "generator", WEIGHTS)
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "x.bin")
    data = (tmp_path / "x.bin").read_bytes()
    for cut in (data[:-1], data[:20], data + b"more"):
        (tmp_path / "x.bin").write_bytes(cut)
        with pytest.raises(ImportRefused, match="no sound safetensors file"):
            read_tensors(tmp_path / "x.bin", "generator", [])
    save_file({"a": torch.tensor([torch.nan])}, tmp_path / "x.bin")
    with pytest.raises(ImportRefused, match="not finite in a"):
        read_tensors(tmp_path / "x.bin", "generator", ["a"])


def test_one_weight_file_of_a_folder_is_meant_and_several_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no weight file"):
        weights_in(tmp_path)
    for name in ("pytorch_model.bin", "model.safetensors", "README.md", "config.json"):
        (tmp_path / name).touch()
    assert weights_in(tmp_path) == tmp_path / "model.safetensors"
    assert config_in(tmp_path) == tmp_path / "config.json"
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(ImportRefused, match="2 weight files"):
        weights_in(tmp_path)


@pytest.mark.slow
def test_a_folder_of_a_hub_with_all_networks_in_half_precision_is_imported(tmp_path: Path) -> None:
    """One safetensors file with the parts under their attributes' names, and a config that tells the sizes."""
    parts = {"generator": generator_state(16), "encoder": encoder_state(), "sub_encoder": sub_encoder_state(128, 16)}
    half = {
        f"{part}.{name}": tensor.to(torch.bfloat16) for part, state in parts.items() for name, tensor in state.items()
    }
    hub = tmp_path / "hub"
    hub.mkdir()
    save_file(half, hub / "model.safetensors")
    (hub / "config.json").write_text('{"img_size": 128, "latent_dim": 16, "num_class": 0, "architectures": ["HAGAN"]}')
    card = import_hagan("mine", hub, tmp_path / "models", encoder=hub, sub_encoder=hub)
    assert (card.shape[0], card.latent.z_dim, card.has_encoder) == (128, 16, True)
    model = load(tmp_path / "models" / "mine", card)
    assert torch.equal(model.style_matrices()[0], half["generator.fc1.weight"].float())
