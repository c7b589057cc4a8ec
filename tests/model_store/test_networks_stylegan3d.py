"""The served 3D-StyleGAN against the authors' outputs, and against a plain evaluation of every architecture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from latents.truncate import toward_mean
from model_store.faults import FolderFault
from model_store.load import load
from tests.support.models.plain_stylegan3d import PlainStyleGAN3D
from tests.support.models.stylegan3d_pickles import generator
from tests.support.models.tiny_stylegan3d import convert_pickle, write_stylegan3d

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"
TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the image."""


def _difference(got: torch.Tensor, expected: torch.Tensor) -> float:
    assert got.shape == expected.shape
    return float((got.double() - expected.double()).abs().max() / expected.double().std())


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the authors' outputs lie beside the repository, not in it")
@pytest.mark.parametrize("case", ["orig567", "nonoise442"])
def test_imported_network_computes_what_the_authors_code_computed(case: str, tmp_path: Path) -> None:
    pickle_file = FIXTURES / f"3dstylegan_{case}.pkl"
    gs = load(tmp_path / "gs", convert_pickle(tmp_path, "gs", pickle_file))
    g = load(tmp_path / "g", convert_pickle(tmp_path, "g", pickle_file, which=0))
    with np.load(FIXTURES / f"3dstylegan_{case}_reference.npz") as stored:
        of = {key: torch.from_numpy(stored[key]) for key in stored.files}
    with torch.inference_mode():
        w, mean = gs.map(of["z"]), gs.mean_style()
        assert torch.allclose(w, of["w"], atol=1e-5)
        assert torch.equal(mean, of["dlatent_avg"].expand_as(mean))
        mixed = torch.cat([w[:1, :3], w[1:, 3:]], dim=1)
        for name, styles in (("psi1", w), ("psi0", mean[None]), ("mix3", mixed), ("psi07", toward_mean(w, mean, 0.7))):
            alone = torch.cat([gs.synthesise(row[None]) for row in styles])
            assert _difference(alone, of[f"img_{name}"]) < TOLERANCE
        assert _difference(gs.synthesise(w), of["img_psi1"]) < TOLERANCE
        grey = ((alone + 1) * 127.5 + 0.5).clamp(0, 255).byte()
        assert int((grey.movedim(1, -1).int() - of["img_psi07_u8"].int()).abs().max()) <= 1
        of_g = g.synthesise(toward_mean(g.map(of["z"]), g.mean_style(), 0.7))
    assert _difference(of_g, of["img_G_psi07"]) < TOLERANCE


CASES = {
    "orig": {},
    "no noise": {"noise": False, "base": (2, 3, 1)},
    "skip": {"architecture": "skip"},
    "skip, one width, no noise": {"architecture": "skip", "widths": (4, 4), "noise": False, "base": (1, 2, 5)},
    "resnet": {"architecture": "resnet"},
    "labels": {"num_classes": 3, "architecture": "resnet", "widths": (5, 3)},
    "one block": {"widths": (4,), "base": (4, 6, 5)},
    "lopsided taps, skip": {"architecture": "skip", "widths": (4, 3), "resample_kernel": [1, 2, 4, 2, 3]},
    "lopsided taps, resnet": {"architecture": "resnet", "widths": (4, 3), "resample_kernel": [1, 2, 4, 2, 3]},
    "float32-trained": {"dtype": "float32", "widths": (7, 2, 3)},
}


@pytest.mark.parametrize("case", CASES)
def test_every_architecture_computes_what_its_description_says(case: str, tmp_path: Path) -> None:
    variables = generator(seed=len(case), **CASES[case])
    card = write_stylegan3d(tmp_path, "tiny", variables)
    model = load(tmp_path / "tiny", card)
    taps = variables.arguments.get("resample_kernel", [1, 3, 3, 3, 1])
    plain = PlainStyleGAN3D(variables.mapping, variables.synthesis, taps)
    random = torch.Generator().manual_seed(3)
    z = torch.randn(2, card.latent.z_dim, generator=random)
    label = 1 if card.classes else None
    architecture = variables.arguments["architecture"]
    with torch.inference_mode():
        w = model.map(z, label)
        assert torch.allclose(w[:, 0].double(), plain.map(z, label), atol=1e-4)
        assert torch.equal(model.mean_style()[0], torch.from_numpy(variables.own["dlatent_avg"]))
        w = w + 0.3 * torch.randn(w.shape, generator=random)  # every style its own
        expected = plain.synthesise(w, architecture)
        assert float(expected.std()) > 0.05
        assert _difference(model.synthesise(w), expected) < TOLERANCE
        assert _difference(model.synthesise(w[1:]), expected[1:]) < TOLERANCE
        seeded = model.synthesise(w, 5)
        fields = model.synthesis.draw_noise(5 ^ 0x33445347)
        assert _difference(seeded, plain.synthesise(w, architecture, fields)) < TOLERANCE
    if case != "orig" and "no noise" not in case:
        assert _difference(seeded, expected) > 0.01


def test_gradients_reach_every_style_and_the_volume_stays_the_same(tmp_path: Path) -> None:
    model = load(tmp_path / "tiny", write_stylegan3d(tmp_path, "tiny", generator(architecture="skip")))
    w = model.map(torch.randn(1, 8)).requires_grad_()
    volume = model.synthesise(w)
    (gradient,) = torch.autograd.grad(volume.square().mean(), w)
    assert bool((gradient.abs().amax(dim=2) > 0).all())
    step = 1e-2 * gradient / gradient.norm()
    with torch.inference_mode():
        assert _difference(model.synthesise(w), volume) < TOLERANCE
        slope = model.synthesise(w + step).square().mean() - model.synthesise(w - step).square().mean()
    assert float(slope) == pytest.approx(0.02 * float(gradient.norm()), rel=0.02)


def test_half_precision_stays_near(tmp_path: Path) -> None:
    card = write_stylegan3d(tmp_path, "tiny", generator(widths=(8, 8, 8)))
    whole, half = (load(tmp_path / "tiny", card, precision=precision) for precision in ("float32", "bfloat16"))
    with torch.inference_mode():
        w = whole.map(torch.randn(2, 8))
        for styles in (w, w[:1]):
            got, expected = half.synthesise(styles), whole.synthesise(styles)
            assert got.dtype == torch.float32
            assert float((got - expected).abs().mean() / expected.std()) < 0.02


def test_style_matrices_are_those_of_all_layers(tmp_path: Path) -> None:
    model = load(tmp_path / "tiny", write_stylegan3d(tmp_path, "tiny"))
    assert [tuple(matrix.shape) for matrix in model.style_matrices()] == [
        (6, 7),
        (6, 7),
        (5, 7),
        (5, 7),
        (4, 7),
        (4, 7),
    ]
    with pytest.raises(TypeError, match="no encoder"):
        model.encode(torch.zeros(1, 1, 12, 8, 16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (12, 8, 8)}, "shape"),
        ({"network": {"base": [3, 2, 4]}}, "network.widths"),
        ({"has_encoder": True}, "no encoder"),
    ],
)
def test_card_that_contradicts_the_network_is_broken(tmp_path: Path, changes: dict, message: str) -> None:
    card = write_stylegan3d(tmp_path, "tiny", **changes)
    with pytest.raises(FolderFault, match=message):
        load(tmp_path / "tiny", card)


def test_wrong_latents_and_classes_are_refused(tmp_path: Path) -> None:
    model = load(tmp_path / "tiny", write_stylegan3d(tmp_path, "tiny", generator(num_classes=2)))
    with pytest.raises(ValueError, match="conditional"):
        model.map(torch.zeros(1, 8))
    with pytest.raises(ValueError, match="latents"):
        model.map(torch.zeros(1, 9), 0)
    with pytest.raises(ValueError, match="styles"):
        model.synthesise(torch.zeros(1, 5, 7))
