"""Inference of HA-GAN's last block in pieces: the same volume as the plain networks give, and the same statistics."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.plain.hagan import PlainHAGAN
from model_store.networks.hagan import HAGANGenerator
from model_store.networks.layers import NormReLU, UpsampleConv3d, fold_upsampling
from model_store.networks.streamed import Moments, norm_relu_, rows_of, upsample_to_volume


def _random_generator(size: int, width: int, latent: int) -> HAGANGenerator:
    """Random weights whose volumes fill [-1, 1], normalisations that do more than nothing."""
    torch.manual_seed(size)
    generator = HAGANGenerator(size, width, latent).requires_grad_(False).eval()
    for layer in generator.modules():
        if isinstance(layer, NormReLU):
            layer.weight.normal_(1.0, 0.3)
            layer.bias.normal_(0.0, 0.3)
    generator.high.conv2.weight.mul_(6)
    return generator


def _channels_last(*shape: int) -> torch.Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 3 + 5
    return x.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("size", [64, 128])
def test_full_width_inference_stays_within_5e_4_of_the_plain_networks(size: int) -> None:
    generator = _random_generator(size, 32, 16)
    plain = PlainHAGAN({f"generator.{key}": value.clone() for key, value in generator.state_dict().items()}, size)
    fold_upsampling(generator)
    z = torch.randn(1, 16)
    with torch.inference_mode():
        expected, found = plain.synthesise(z), generator(z)
    assert expected.std() > 0.3
    assert (found - expected).abs().max() < 5e-4


@pytest.mark.parametrize("slab", [1, 3, 8])
def test_low_memory_slabs_give_the_same_volume(slab: int) -> None:
    generator = _random_generator(32, 8, 4)
    fold_upsampling(generator)
    z = torch.randn(2, 4)
    with torch.inference_mode():
        whole = generator(z)
        generator.high.slab = slab
        torch.testing.assert_close(generator(z), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("slab", [0, 3])
def test_where_torchs_own_kernels_compute_the_volume_is_the_same(slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave another memory order than oneDNN's and are all there is on some processors."""
    generator = _random_generator(32, 8, 4)
    z = torch.randn(1, 4)
    with torch.inference_mode():
        expected = generator(z)
        fold_upsampling(generator)
        generator.high.slab = slab
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
        found = generator(z)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_gradients_take_the_networks_as_they_are() -> None:
    generator = _random_generator(32, 8, 4)
    fold_upsampling(generator)
    z = torch.randn(1, 4, requires_grad=True)
    volume = generator(z)
    volume.square().mean().backward()
    assert z.grad is not None
    assert z.grad.abs().max() > 0
    with torch.inference_mode():
        torch.testing.assert_close(generator(z), volume.detach(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("sides", [(1, 2, 3), (4, 3, 5)])
def test_the_streamed_end_equals_norm_convolution_and_tanh(sides: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    conv, norm = UpsampleConv3d(6, 1).requires_grad_(False), NormReLU(6).requires_grad_(False)
    x = _channels_last(1, 6, *sides)
    expected = torch.tanh(F.conv3d(F.interpolate(norm(x.clone()), scale_factor=2), conv.weight, conv.bias, padding=1))
    conv.fold()
    moments, volume = Moments(), torch.full([2 * side for side in sides], torch.nan)
    moments.add(rows_of(x))
    upsample_to_volume(x.split(2, dim=2), moments.affine(norm), conv, volume)
    torch.testing.assert_close(volume, expected[0, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_the_norm_in_place_is_torchs_group_norm_of_each_sample(dtype: torch.dtype, tolerance: float) -> None:
    norm = nn.GroupNorm(4, 12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = _channels_last(2, 12, 3, 40, 50).to(dtype)
    x[1] *= 2
    with torch.no_grad():
        expected = F.relu(norm(x.float()))
        found = norm_relu_(x, norm.to(dtype))
    assert found.data_ptr() == x.data_ptr()
    assert (found.float() - expected).abs().max() < tolerance


def test_moments_of_pieces_are_those_of_the_whole_even_far_from_zero() -> None:
    rows = torch.randn(5000, 4, generator=torch.Generator().manual_seed(0)) * 0.1 + 30
    norm, moments = nn.GroupNorm(2, 4).requires_grad_(False), Moments()
    for piece in rows.split(777):
        moments.add(piece)
    scale, shift = moments.affine(norm)
    exact = F.group_norm(rows.double().t()[None], 2)[0].t()
    assert ((rows.double() * scale + shift) - exact).abs().max() < 1e-3


def test_what_is_not_channels_last_is_refused() -> None:
    with pytest.raises(ValueError, match="channels-last"):
        rows_of(torch.zeros(1, 2, 3, 3, 3).contiguous())
    with pytest.raises(ValueError, match="channels-last"):
        rows_of(_channels_last(2, 4, 3, 3, 3))
