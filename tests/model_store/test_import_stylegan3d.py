"""Import of 3D-StyleGAN pickles: the card true, other structures refused with what is wrong about them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from contract.requests import EditRequest, GenerateRequest
from model_store.catalogue import Catalogue
from model_store.faults import Refusal
from model_store.importers.jail import ImportRefused
from model_store.importers.stylegan3d import import_stylegan3d, make_card, truncation
from model_store.importers.stylegan3d_pickle import read_networks
from model_store.importers.stylegan3d_sizes import Sizes, settle, take_apart
from model_store.importers.stylegan3d_weights import convert, read
from tests.support.models.stylegan3d_pickles import Generator, Network, dumps, generator, network, snapshot
from tests.support.recipes import performed
from voxelsmith.cli import app
from workers.bench import Bench
from workers.steps.recipe_events import Product


def _read(tmp_path: Path, content: bytes, which: int = 2) -> tuple[Sizes, dict[str, torch.Tensor]]:
    """What the jailed half makes of a pickle."""
    (tmp_path / "x.pkl").write_bytes(content)
    parts = take_apart(read_networks(tmp_path / "x.pkl")[which])
    sizes = settle(parts)
    return sizes, convert(parts, sizes)


def test_command_imports_a_conditional_network_that_then_generates_and_edits(tmp_path: Path) -> None:
    models, source = tmp_path / "models", "def G_main(randomize_noise = True): raise SystemExit"
    pickle_file = tmp_path / "network-snapshot-004200.pkl"
    pickle_file.write_bytes(snapshot(generator(num_classes=2), g=generator(num_classes=2, seed=1), source=source))

    def run(*words: object) -> str:
        done = CliRunner().invoke(app, ["--models", str(models), "models", *(str(word) for word in words)])
        assert done.exit_code == 0, done.output
        return done.stdout

    order = ["import", "stylegan3d", "--name", "brains", "--pickle", pickle_file, "--classes", "young,old"]
    made = json.loads(run(*order, "--spacing", 2, 2, 3, "--intensity", 0, 100, "--psi", 0.7, "--cutoff", 4, "--json"))
    assert made["classes"] == ["young", "old"]
    assert made["latent"] == {"z_dim": 8, "w_dim": 7, "num_styles": 6, "has_style_space": True}
    assert made["truncation"] == {"kind": "psi", "default": 0.7, "cutoff": 4}
    assert (made["intensity"]["low"], made["intensity"]["high"]) == (0, 100)
    assert (made["shape"], made["spacing_mm"], made["axes"]) == ([12, 8, 16], [2, 2, 3], "RAS")
    assert made["provenance"]["iterations"] == {"thousand_volumes": 4200}
    assert "Gs" in made["provenance"]["notes"]
    assert "Trained in float16" in made["provenance"]["notes"]
    assert "with fresh noise" in made["provenance"]["notes"]
    assert sorted(path.name for path in (models / "brains").iterdir()) == ["card.json", "weights.safetensors"]
    assert "12x8x16" in run("list")
    assert json.loads(run("show", "brains"))["family"] == "stylegan3d"
    run("verify", "brains")

    bench = Bench(Catalogue([models]), threads=1)
    sampled = _arrays(performed(GenerateRequest(model="brains", seed=1, class_label="old", truncation=1.0), bench))
    mean = _arrays(performed(GenerateRequest(model="brains", seed=1, class_label="old", truncation=0.0), bench))
    mix: Any = {"op": "mix", "target": {"seed": 2}, "crossover": 3}
    mixed = _arrays(performed(EditRequest(model="brains", source={"seed": 1}, class_label=1, edit=mix), bench))
    assert sampled[0].shape == mixed[0].shape == (12, 8, 16)
    assert np.abs(sampled[0] - mean[0]).max() > 0.02


def _arrays(events: Any) -> list[np.ndarray]:
    return [np.asarray(event.volume.array) for event in events if isinstance(event, Product)]


def test_g_and_gs_are_told_apart(tmp_path: Path) -> None:
    content = snapshot(generator(seed=1), g=generator(seed=2))
    expected = {0: generator(seed=2).own["dlatent_avg"], 2: generator(seed=1).own["dlatent_avg"]}
    for which, mean in expected.items():
        assert np.array_equal(_read(tmp_path, content, which)[1]["mean"], mean)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_older_protocols_hold_the_same_network(tmp_path: Path, protocol: int) -> None:
    _, expected = _read(tmp_path, snapshot(generator()))
    _, got = _read(tmp_path, snapshot(generator(), protocol))
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_column_major_and_half_precision_arrays_are_read_as_what_they_are(tmp_path: Path) -> None:
    variables = generator()
    _, expected = _read(tmp_path, snapshot(variables))
    of, halved, turned = variables.synthesis, "3x2X4/Conv/mod_weight", "3x2X4/Conv/weight"
    of[halved] = of[halved].astype(np.float16)
    for protocol in (5, 4):
        of[turned] = np.asfortranarray(of[turned])
        _, got = _read(tmp_path, snapshot(variables, protocol))
        assert torch.equal(got["synthesis.conv.weight"], expected["synthesis.conv.weight"])
        assert torch.allclose(got["synthesis.conv.style.weight"], expected["synthesis.conv.style.weight"], atol=1e-3)


def _sizes(tmp_path: Path, **arguments: Any) -> Sizes:
    return _read(tmp_path, snapshot(generator(**arguments)))[0]


def test_sizes_truncation_and_noise_are_read_from_the_pickle(tmp_path: Path) -> None:
    sizes = _sizes(tmp_path, truncation_psi=0.8, truncation_cutoff=2, randomize_noise=False)
    assert (sizes.psi, sizes.cutoff, sizes.random_noise) == (0.8, 2, False)
    assert (sizes.base, sizes.widths, sizes.num_styles, sizes.architecture) == ((3, 2, 4), (6, 5, 4), 6, "orig")
    usual = _sizes(tmp_path)
    assert (usual.psi, usual.cutoff, usual.random_noise, usual.lrmul) == (0.5, None, None, 0.01)
    assert _sizes(tmp_path, truncation_psi=None).psi == 1
    assert _sizes(tmp_path, truncation_cutoff=0).psi == 1
    assert _sizes(tmp_path, truncation_cutoff=6).cutoff is None
    assert _sizes(tmp_path, architecture="resnet").architecture == "resnet"
    assert not _sizes(tmp_path, noise=False).noise
    small = _sizes(tmp_path, mapping_lrmul=np.float64(0.1))
    assert small.lrmul == 0.1


def test_card_says_what_the_authors_own_files_say(tmp_path: Path) -> None:
    sizes = _sizes(tmp_path)
    parts = {
        "name": "x", "modality": "MR", "axes": "RAS", "spacing_mm": None, "classes": [], "truncation": {"kind": "psi"},
        "provenance": {"origin": "imported"}, "files": {"weights.safetensors": ""},
    }  # fmt: skip
    card = make_card(sizes.facts(), None, parts)
    assert (card.intensity.low, card.intensity.high, card.intensity.units) == (0, 255, "a.u.")
    assert (card.intensity.network_range, card.spacing_mm, card.spacing_is_nominal) == ((-1, 1), (1, 1, 1), True)
    official = sizes.facts() | {"shape": [80, 96, 112]}
    assert make_card(official, None, parts).spacing_mm == (2, 2, 2)
    ct = make_card(sizes.facts(), (-1000, 400), parts | {"modality": "CT"})
    assert (ct.intensity.units, ct.preprocess.window) == ("HU", (-1000, 400))
    for change, message in (((0, 1), "whole numbers"), ((5, 2), "lower one first")):
        with pytest.raises(ImportRefused, match=message):
            make_card(sizes.facts(), change, parts)
    with pytest.raises(ImportRefused, match="--axes"):
        make_card(sizes.facts(), None, parts | {"axes": "RAR"})


def test_wish_that_makes_no_sense_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(snapshot(generator()))
    whole: dict[str, Any] = {"name": "x", "pickle_file": tmp_path / "x.pkl", "target_root": tmp_path / "m"}
    for options, message in (
        ({"psi": 1.5}, "--psi"),
        ({"psi": float("nan")}, "--psi"),
        ({"modality": "PET"}, "--modality"),
        ({"name": "../x"}, "name"),
        ({"classes": ["one"]}, "names 1 classes, but the network has 0"),
    ):
        with pytest.raises(Refusal, match=message):
            import_stylegan3d(**whole | options)
    assert [*(tmp_path / "m").iterdir()] == []
    with pytest.raises(ImportRefused, match="--cutoff lies between 1 and 6"):
        truncation({"num_styles": 6}, None, 7)
    assert truncation({"num_styles": 6, "psi": 0.5, "cutoff": 3}, 0.0, None)["default"] == 0.0


def _without(key: str) -> Callable[[Generator], object]:
    return lambda g: g.synthesis.pop(key)


def _put(part: str, key: str, value: object) -> Callable[[Generator], object]:
    return lambda g: getattr(g, part).update({key: value})


_WEIGHT = "6x4x8/Conv1/weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("6x4x8/Conv0_up/bias"), r"lacks 6x4x8/Conv0_up/bias"),
        (_without("3x2X4/Const/const"), "exactly one learned constant"),
        (_without("12x8x16/ToRGB/weight"), "lacks 12x8x16/ToRGB/weight"),
        (_put("synthesis", "6x4x8/Conv2/weight", np.zeros(3, np.float32)), "besides 6x4x8/Conv2/weight"),
        (_put("synthesis", "a\x1b[2J\nb", np.zeros(3, np.float32)), r"besides a\?\[2J\?b"),
        (_put("synthesis", _WEIGHT, np.zeros((3, 3, 3, 5, 4), np.float32)), "should be f4"),
        (_put("synthesis", _WEIGHT, np.zeros((3, 3, 3, 5, 9000), np.float32)), "impossible shape"),
        (_put("synthesis", _WEIGHT, np.zeros((3, 3, 3, 5, 0), np.float32)), "impossible shape"),
        (_put("synthesis", _WEIGHT, np.zeros((3, 3, 3, 5, 5), np.int32)), "should be f4 .* but is i4"),
        (_put("synthesis", _WEIGHT, np.full((3, 3, 3, 5, 5), np.nan, np.float32)), f"not finite in {_WEIGHT}"),
        (_put("synthesis", "noise3", np.full((1, 1, 12, 8, 16), np.inf, np.float32)), "not finite in noise3"),
        (_put("own", "dlatent_avg", np.full(7, 1e39, np.float64)), "not finite in dlatent_avg"),
        (_put("own", "dlatent_avg", np.zeros((), np.float32)), "dlatent_avg has the impossible shape"),
        (_put("own", "extra", np.zeros(2, np.float32)), "besides extra"),
        (_put("mapping", "Dense3/weight", np.zeros((9, 8), np.float32)), "Dense3/weight in the pickle file should be"),
        (_put("arguments", "architecture", "skip"), "contradict its arguments architecture"),
        (_put("arguments", "resolution", np.int64(64)), "contradict its arguments resolution"),
        (_put("arguments", "resolution", 10**400), "resolution is not a number"),
        (_put("arguments", "base_size", [3, 2, 5]), "contradict its arguments base_size"),
        (_put("arguments", "no_noise", True), "contradict its arguments no_noise"),
        (_put("arguments", "label_size", 3), "contradict its arguments label_size"),
        (_put("arguments", "num_channels", 3), "another num_channels than 1"),
        (_put("arguments", "nonlinearity", "relu"), "another nonlinearity"),
        (_put("arguments", "resample_kernel", [1, 3, 3, 1]), "number of taps"),
        (_put("arguments", "resample_kernel", [1, -1, 0, 1, -1]), "no positive sum"),
        (_put("arguments", "resample_kernel", [1, [], 0, 1, "a"]), "number of taps"),
        (_put("arguments", "truncation_psi", "all"), "truncation_psi is not a number"),
        (_put("arguments", "truncation_cutoff", 1.5), "truncation arguments make no sense"),
        (_put("arguments", "mapping_lrmul", float("inf")), "mapping_lrmul is not a number"),
    ],
)  # fmt: skip
def test_network_of_another_make_is_refused(
    tmp_path: Path, change: Callable[[Generator], object], message: str
) -> None:
    variables = generator(widths=(5, 5, 4))
    change(variables)
    with pytest.raises(ImportRefused, match=message):
        _read(tmp_path, snapshot(variables))


def _state(**changes: object) -> Network:
    return Network(generator().network().state | changes)


_ROW = ("a", np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (generator().network(), r"no tuple \(G, D, Gs\)"),
        ((1, 2, 3), r"no tuple \(G, D, Gs\)"),
        ([generator().network()] * 3, r"no tuple \(G, D, Gs\)"),
        ((_state(),) * 2, r"no tuple \(G, D, Gs\)"),
        ((network("D", {}, {}),) * 3, "components mapping and synthesis"),
        ((_state(components={"mapping": 1, "synthesis": 2}),) * 3, "components mapping and synthesis"),
        ((_state(version=3),) * 3, "format version"),
        ((_state(variables={"a": 1}),) * 3, "has no variables"),
        ((_state(variables=[("a", 1.0)]),) * 3, "not a name with an array"),
        ((_state(variables=[_ROW, _ROW]),) * 3, "a appears twice"),
        ((_state(static_kwargs=[]),) * 3, "has no static_kwargs"),
        ((Network([]),) * 3, "not a dictionary"),  # type: ignore[arg-type]
    ],
)
def test_pickle_of_something_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        _read(tmp_path, dumps(content))


def test_volume_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    variables = generator(widths=(2, 2), base=(1, 1, 1))
    variables.synthesis["9x9x900/Const/const"] = variables.synthesis.pop("1x1X1/Const/const")
    for k in range(1, 10):
        scope = "x".join(str(length << k) for length in (9, 9, 900))
        variables.synthesis[f"{scope}/Conv0_up/weight"] = np.zeros((3, 3, 3, 2, 2), np.float32)
    with pytest.raises(ImportRefused, match="volume would be 4608x4608x460800"):
        _read(tmp_path, snapshot(variables))


def test_weights_file_holds_what_was_read(tmp_path: Path) -> None:
    """The jailed half by its own door."""
    (tmp_path / "x.pkl").write_bytes(snapshot(generator()))
    facts = read({"path": str(tmp_path / "x.pkl"), "use": "gs", "target": str(tmp_path / "w.safetensors")})
    assert json.loads(json.dumps(facts)) == facts
    _, expected = _read(tmp_path, snapshot(generator()))
    stored = load_file(tmp_path / "w.safetensors")
    assert stored.keys() == expected.keys()
    assert all(torch.equal(stored[key], expected[key]) for key in expected)
