"""HA-GAN's networks: the paper's Table VII, the exactness of the folded upsampling, and what a sub-volume is."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from model_store.networks.hagan import (
    HAGANDiscriminator,
    HAGANEncoder,
    HAGANGenerator,
    select_features,
)
from model_store.networks.layers import UpsampleConv3d, fold_nearest_upsampling, fold_upsampling


def millions(*networks: nn.Module) -> float:
    return sum(p.numel() for network in networks for p in network.parameters()) / 1e6


@pytest.mark.parametrize(("size", "paper"), [(32, 74.7), (64, 78.7), (128, 79.6), (256, 79.7)])
def test_full_width_parameters_are_those_of_table_vii(size: int, paper: float) -> None:
    """Sum over G, E and D: 74.748, 78.672, 79.584 and 79.745 M; the paper states one decimal, and each agrees."""
    with torch.device("meta"):
        total = millions(HAGANGenerator(size), HAGANEncoder(size), HAGANDiscriminator(size))
    assert round(total, 1) == paper


def test_each_network_has_the_authors_parameter_count() -> None:
    """formats.md 1.2 and 1.3: 52 518 210 in G, 161 152 in E^H at both sizes."""
    for size in (128, 256):
        with torch.device("meta"):
            generator, encoder = HAGANGenerator(size), HAGANEncoder(size)
        assert sum(p.numel() for p in generator.parameters()) == 52_518_210
        assert sum(p.numel() for p in encoder.high.parameters()) == 161_152


def test_one_class_serves_every_size_width_latent_and_number_of_classes() -> None:
    for size, width, latent, classes in [(32, 8, 5, 0), (64, 16, 7, 3)]:
        generator = HAGANGenerator(size, width, latent, classes)
        z = torch.randn(2, latent)
        one_hot = F.one_hot(torch.tensor([0, classes - 1]), classes).float() if classes else None
        with torch.no_grad():
            volume = generator(z, one_hot)
            assert volume.shape == (2, 1, size, size, size)
            assert volume.abs().max() <= 1
            assert HAGANEncoder(size, width, latent)(volume).shape == (2, latent)
            discriminator = HAGANDiscriminator(size, width, classes)
            logits, class_logits = discriminator.high(volume[:, :, : size // 8], 0)
            assert logits.shape == (2,)
            assert class_logits is None if not classes else class_logits.shape == (2, classes)
            assert discriminator.low(volume[:, :, ::4, ::4, ::4])[0].shape == (2,)


@pytest.mark.parametrize("sides", [(3, 4, 5), (1, 2, 7)])
def test_folded_upsampling_equals_upsampling_then_convolving(sides: tuple[int, int, int]) -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *sides, generator=source, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, 3, 3, generator=source, dtype=torch.float64)
    bias = torch.randn(5, generator=source, dtype=torch.float64)
    expected = F.conv3d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)
    folded = F.conv_transpose3d(x, fold_nearest_upsampling(weight), bias, stride=2, padding=1)
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-12)


def test_folding_is_differentiable_and_keeps_the_trained_weight_as_the_parameter() -> None:
    layer = UpsampleConv3d(2, 3)
    layer(torch.randn(1, 2, 3, 3, 3)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == (3, 2, 3, 3, 3)


def test_a_folded_generator_gives_the_unfolded_volume() -> None:
    """Within 5e-4 at every voxel of [-1, 1], for inference folded once at load."""
    torch.manual_seed(0)
    plain = HAGANGenerator(64, 16, 8)
    folded = HAGANGenerator(64, 16, 8)
    folded.load_state_dict(plain.state_dict())
    fold_upsampling(folded)
    z = torch.randn(1, 8)
    with torch.no_grad():
        assert (folded(z) - reference(plain, z)).abs().max() < 5e-4


def reference(generator: HAGANGenerator, z: torch.Tensor) -> torch.Tensor:
    """G as the paper draws it: interpolation, then convolution, at 64^3 (two doublings in G^A, two in G^H)."""
    common, high = generator.common, generator.high
    x = common.fc1(z).view(1, -1, 4, 4, 4)
    for index in range(1, 6):
        if index in (2, 3):
            x = F.interpolate(x, scale_factor=2)
        conv, norm = common.get_submodule(f"conv{index}"), common.get_submodule(f"norm{index}")
        x = F.relu(F.group_norm(F.conv3d(x, conv.weight, conv.bias, padding=1), 8, norm.weight, norm.bias))
    x = F.conv3d(F.interpolate(x, scale_factor=2), high.conv1.weight, high.conv1.bias, padding=1)
    x = F.relu(F.group_norm(x, 8, high.norm1.weight, high.norm1.bias))
    return torch.tanh(F.conv3d(F.interpolate(x, scale_factor=2), high.conv2.weight, high.conv2.bias, padding=1))


def test_the_encoder_treats_its_eight_sub_volumes_apart() -> None:
    """Section III-C: a change in one sub-volume changes the feature maps under it and nowhere else."""
    torch.manual_seed(0)
    encoder = HAGANEncoder(64, 8, 4)
    volume = torch.randn(1, 1, 64, 64, 64)
    changed = volume.clone()
    changed[:, :, 24:32] += 1.0
    with torch.no_grad():
        difference = (encoder.slab_features(changed) - encoder.slab_features(volume)).abs().amax(dim=(0, 1, 3, 4))
    assert (difference > 0).tolist() == [6 <= k < 8 for k in range(16)]


def test_the_encoder_keeps_the_channels_of_a_voxel_together_from_its_first_layer_on() -> None:
    """A scan has one channel, so that its own order in memory says nothing; otherwise each layer copies its input."""
    encoder, orders = HAGANEncoder(64, 8, 4), []
    for layer in (encoder.high.norm1, encoder.high.norm2, encoder.high.norm3):
        layer.register_forward_pre_hook(
            lambda _, inputs: orders.append(inputs[0].is_contiguous(memory_format=torch.channels_last_3d))
        )
    with torch.no_grad():
        encoder.high(torch.rand(2, 1, 8, 64, 64))  # two sub-volumes at a time, as they are served
    assert orders == [True, True, True]


def test_a_sub_volume_is_made_from_the_features_under_it() -> None:
    torch.manual_seed(0)
    generator = HAGANGenerator(64, 8, 4)
    with torch.no_grad():
        features = generator.common(torch.randn(1, 4))
        assert select_features(features, 20, 64).shape == (1, 16, 2, 16, 16)
        assert generator.sub_volume(features, 20).shape == (1, 1, 8, 64, 64)
        torch.testing.assert_close(generator.sub_volume(features, 20), generator.high(features[:, :, 5:7]))


@pytest.mark.parametrize("size", [16, 100, 512])
def test_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="sizes"):
        HAGANGenerator(size)
