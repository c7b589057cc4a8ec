"""3D-ProGAN and 3D-StyleGAN as they are served, against plain implementations of the paper's tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.plain.progan import PlainProGAN, PlainProgressive
from benchmarks.plain.stylegan import PlainStyleGAN
from latents.sample import gaussian
from model_store.card import LatentSpec, ModelCard, TruncationSpec
from model_store.families.stylegan import noise_source
from model_store.faults import FolderFault
from model_store.load import load, outline
from model_store.networks.slabs import InSlabs
from tests.support.models.tiny_progan import write_progan
from tests.support.models.tiny_stylegan import write_stylegan

Write = Callable[..., ModelCard]
FAMILIES: dict[str, tuple[Write, type[PlainProgressive]]] = {
    "progan": (write_progan, PlainProGAN),
    "stylegan": (write_stylegan, PlainStyleGAN),
}
SIZES = {"base": (1, 3, 2), "stages": 3, "c": 3}
SHAPE = (8, 24, 16)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pair(folder: Path, family: str, **fields: Any) -> tuple[Any, Any]:
    """A served model of random weights, and the plain one of the same file."""
    write, plain = FAMILIES[family]
    card = write(folder, "m", **(SIZES | fields))
    return load(folder / "m", card), plain.read(folder / "m", card, torch.device("cpu"))


def latents(count: int = 3) -> Tensor:
    return torch.stack([gaussian(seed, 8) for seed in range(count)])


def test_a_served_model_is_the_plain_one(tmp_path: Path, family: str) -> None:
    """Within 1e-4 of [0, 1] at every voxel, with unequal sides; the encoder within 1e-4 of its outputs' size."""
    served, plain = pair(tmp_path, family)
    z = latents()
    with torch.inference_mode():
        volume, expected = served.synthesise(served.map(z)), plain.synthesise(z)
        assert volume.shape == (3, 1, *SHAPE)
        assert volume.dtype == torch.float32
        assert (volume - expected).abs().max() < 1e-4
        assert volume.std(0).mean() > 0.01  # the latent matters
        code, expected_code = served.encode(volume), plain.encode(volume)
        assert code.shape == served.map(z).shape
        assert (code - expected_code).abs().max() < 1e-4 * expected_code.abs().max()


def test_w_may_have_another_size_than_z(tmp_path: Path) -> None:
    """Table A.3 has 512 and 128."""
    served, plain = pair(tmp_path, "stylegan", w_dim=5)
    z = latents(1)
    with torch.inference_mode():
        assert served.map(z).shape == (1, 9, 5)
        assert served.encode(torch.rand(1, 1, *SHAPE)).shape == (1, 9, 5)
        assert (served.synthesise(served.map(z)) - plain.synthesise(z)).abs().max() < 1e-4


def test_work_in_slabs_is_the_plain_volume(tmp_path: Path, family: str) -> None:
    served, plain = pair(tmp_path, family)
    for part in served.modules():
        if isinstance(part, InSlabs):
            part.slab_bytes = 1
    z = latents(1)
    with torch.inference_mode():
        volume = served.synthesise(served.map(z))
        assert (volume - plain.synthesise(z)).abs().max() < 1e-4
        assert (served.encode(volume) - plain.encode(volume)).abs().max() < 1e-5


def test_a_256_cube_is_estimated_as_it_was_measured(tmp_path: Path) -> None:
    """1.6 GB with the process and the weights (0.5 GB) at c = 16, float32; 1.4 GB with slabs of half the size."""
    card = write_stylegan(tmp_path, "m", **SIZES)
    full = card.model_copy(
        update={
            "shape": (256, 256, 256),
            "network": {"base": [8, 8, 8], "channels": [128, 128, 64, 32, 16]},
            "latent": LatentSpec(z_dim=512, w_dim=512, num_styles=15, has_style_space=True),
        }
    )
    whole, small = (outline(full, "float32", low_memory) for low_memory in (False, True))
    assert 1.0e9 < whole.work_bytes("synthesise", full.shape) < 1.4e9
    assert small.work_bytes("synthesise", full.shape) < 0.75 * whole.work_bytes("synthesise", full.shape)
    assert whole.work_bytes("encode", full.shape) < whole.work_bytes("refine", full.shape) < 6e9


def test_random_noise_is_the_seeds_and_constant_noise_is_always_the_same(tmp_path: Path) -> None:
    served, plain = pair(tmp_path, "stylegan")
    z = latents(1)
    with torch.inference_mode():
        w = served.map(z)
        constant, fifth = served.synthesise(w), served.synthesise(w, 5)
        assert torch.equal(constant, served.synthesise(w))
        assert torch.equal(fifth, served.synthesise(w, 5))
        assert (constant - fifth).abs().mean() > 0.001
        assert (fifth - served.synthesise(w, 6)).abs().mean() > 0.001
        assert (fifth - plain.synthesise(z, 5)).abs().max() < 1e-4


def test_noise_is_not_the_latent_of_its_seed() -> None:
    """A request's seed gives both z and the noise."""
    noise = torch.randn(512, generator=noise_source(3))
    assert abs(float(torch.corrcoef(torch.stack([noise, gaussian(3, 512)]))[0, 1])) < 0.2


def test_each_style_is_read_by_its_own_convolution(tmp_path: Path) -> None:
    """The mixing of section 4.3: rows of w before the crossover from one sample, the others from another."""
    served, plain = pair(tmp_path, "stylegan")
    with torch.inference_mode():
        w = served.map(latents(2))
        mixed = torch.cat([w[:1, :4], w[1:, 4:]], 1)
        volume = served.synthesise(mixed)
        assert (volume - plain.decode(mixed, plain.noise(None))).abs().max() < 1e-4
        for style in range(9):
            changed = w[:1].clone()
            changed[:, style] = w[1, style]
            assert not torch.allclose(served.synthesise(changed), served.synthesise(w[:1]), atol=1e-4)


def test_style_matrices_are_what_reads_the_latent(tmp_path: Path) -> None:
    """Eq. 11: all affine maps of a StyleGAN, the first dense layer of a ProGAN."""
    served, plain = pair(tmp_path, "stylegan")
    matrices = served.style_matrices()
    assert [tuple(matrix.shape) for matrix in matrices] == [(rows, 8) for rows in (12, 12, 12, 12, 6, 6, 6, 3, 3)]
    w = torch.randn(1, 8)
    for index, part in enumerate(["first", "upsample", "last"]):
        name = f"synthesis.stages.1.{part}.affine"
        moved = plain.dense(name, w, gain=1.0) - plain.dense(name, torch.zeros(1, 8), gain=1.0)
        torch.testing.assert_close(matrices[3 + index] @ w[0], moved[0])
    progan, plain = pair(tmp_path / "p", "progan")
    (matrix,) = progan.style_matrices()
    moved = plain.dense("generator.dense", w, gain=1.0) - plain.of("generator.dense.bias")
    torch.testing.assert_close(matrix @ w[0], moved[0])


def test_the_critics_features_carry_a_gradient_to_the_latent(tmp_path: Path, family: str) -> None:
    """What the perceptual term of the inversion needs (eq. 4); the weights stay frozen."""
    served, _ = pair(tmp_path, family)
    w = served.map(latents(1)).requires_grad_()
    features = served.critic_features(served.synthesise(w))
    assert [tuple(x.shape[2:]) for x in features] == [(4, 12, 8), (2, 6, 4), (1, 3, 2)]
    features[-1].square().sum().backward()
    assert w.grad is not None
    assert bool((w.grad != 0).all())
    assert not any(parameter.requires_grad for parameter in served.parameters())


def test_a_model_without_encoder_or_critic_says_so(tmp_path: Path, family: str) -> None:
    served, _ = pair(tmp_path, family, encoder=False, critic=False)
    volume = torch.zeros(1, 1, *SHAPE)
    assert served.critic_features(volume) == []
    with pytest.raises(TypeError, match="no encoder"):
        served.encode(volume)


NETWORK = {"base": [1, 3, 2], "channels": [12, 6, 3], "critic": True}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (8, 24, 17)}, "doubled once per stage"),
        ({"network": {"channels": [12, 6, 3]}}, "network.base"),
        ({"network": NETWORK | {"base": [3, 2]}}, "network.base.2"),
        ({"network": NETWORK | {"base": [1, 3, 0]}}, "network.base"),
        ({"network": NETWORK | {"channels": "16"}}, "network.channels"),
        ({"network": NETWORK | {"channels": []}}, "network.channels"),
        ({"network": NETWORK | {"channels": [12, 6, True]}}, "network.channels"),
        ({"network": NETWORK | {"critic": 1}}, "network.critic"),
        ({"network": NETWORK | {"critic_channels": [4, 2]}}, "one number per stage"),
        ({"network": NETWORK | {"width": 4}}, "network.width"),
        ({"classes": ["a", "b"]}, "no classes"),
        ({"latent": LatentSpec(z_dim=8, w_dim=8, num_styles=2)}, "style space"),
    ],
)
def test_a_card_that_no_network_has_is_refused(
    tmp_path: Path, family: str, fields: dict[str, Any], message: str
) -> None:
    card = FAMILIES[family][0](tmp_path, "m", **SIZES).model_copy(update=fields)
    with pytest.raises(FolderFault, match=message):
        load(tmp_path / "m", card)


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        ("progan", {"truncation": TruncationSpec(kind="psi")}, "truncates"),
        ("progan", {"latent": LatentSpec(z_dim=8, w_dim=9)}, "style space"),
        ("stylegan", {"truncation": TruncationSpec(kind="normal")}, "psi"),
        ("stylegan", {"latent": LatentSpec(z_dim=8, w_dim=8, num_styles=6, has_style_space=True)}, "three styles"),
        ("stylegan", {"network": NETWORK | {"mapping_layers": 0}}, "mapping_layers"),
    ],
)
def test_a_card_of_another_kind_is_refused(tmp_path: Path, family: str, fields: dict[str, Any], message: str) -> None:
    card = FAMILIES[family][0](tmp_path, "m", **SIZES).model_copy(update=fields)
    with pytest.raises(FolderFault, match=message):
        load(tmp_path / "m", card)
