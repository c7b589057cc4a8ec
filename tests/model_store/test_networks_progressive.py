"""The bone paper's networks: tables A.2 and A.3, stages and their transition, equalised learning rates, slabs."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.critic import Critic, LatentDiscriminator
from model_store.networks.equalised import (
    EqualisedConv3d,
    EqualisedDownsampleConv3d,
    EqualisedFromImage,
    EqualisedToImage,
    EqualisedUpsampleConv3d,
)
from model_store.networks.progan import ProGANGenerator, pixel_norm
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.slabs import InSlabs, in_chunks
from model_store.networks.stylegan import MappingNetwork, SynthesisNetwork
from model_store.sizes.progressive import stage_channels, stage_shape

PAPER_BASE, PAPER_CHANNELS = (1, 9, 7), [128, 128, 64, 32, 16]
BASE, CHANNELS, LATENT = (1, 3, 2), [6, 4, 2], 5


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(before: int, after: int, taps: int = 27) -> int:
    return before * after * taps + after


def dense(before: int, after: int) -> int:
    return before * after + after


# -- the tables ------------------------------------------------------------------------------------------------------


def test_channel_size_and_base_give_the_tables_sizes() -> None:
    assert stage_channels(16, 5) == PAPER_CHANNELS
    assert stage_shape(PAPER_BASE, 5) == (32, 288, 224)
    assert stage_channels(16, 4) == [128, 64, 32, 16]
    assert stage_shape((8, 8, 8), 5) == (256, 256, 256)


def test_progan_has_the_layers_of_table_a2() -> None:
    """The paper states no totals; this is the sum of its rows at c = 16, and to_image at the stages before the last.

    6.4 M: 4.1 M in d1, 2.2 M in the convolutions.
    """
    with torch.device("meta"):
        generator = ProGANGenerator(PAPER_BASE, PAPER_CHANNELS)
    rows = [(128, 128), (128, 128), (128, 64), (64, 32), (32, 16)]
    convolutions = sum(conv(before, after) + conv(after, after) for before, after in rows)
    images = sum(conv(after, 1) for _, after in rows)
    assert generator.dense.out_features == 8064
    assert parameters(generator) == dense(512, 8064) + convolutions + images == 6_352_437


def test_stylegan_has_the_layers_of_table_a3() -> None:
    """The paper states no totals; at c = 16, with w of 512 (docs/decisions/0014). 1.6 M mapping, 3.9 M synthesis.

    With the table's w of 128 it would be 0.2 M and 0.5 M less.
    """
    with torch.device("meta"):
        mapping, synthesis = MappingNetwork(), SynthesisNetwork(PAPER_BASE, PAPER_CHANNELS)
    reads = [conv.affine.out_features for conv in synthesis.convolutions()]
    assert (len(reads), reads[0], reads[1], reads[-1]) == (15, 128, 128, 16)  # s1, s2, s15
    widths = [128, 128, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32, 32, 16, 16, 16]
    styled = sum(conv(*pair) + dense(512, pair[0]) + 1 for pair in pairwise(widths))
    images = sum(conv(after, 1) for after in PAPER_CHANNELS)
    assert parameters(mapping) == 6 * dense(512, 512) == 1_575_936
    assert parameters(synthesis) == styled + 8064 + images == 3_877_748


@pytest.mark.parametrize("w_dim", [512, 128])
def test_the_mapping_has_six_dense_layers_and_any_size_of_w(w_dim: int) -> None:
    with torch.device("meta"):
        mapping = MappingNetwork(512, w_dim)
    assert [(layer.in_features, layer.out_features) for layer in mapping.layers] == [(512, 512)] * 5 + [(512, w_dim)]


def test_noise_has_one_learned_scale_per_layer_and_three_maps_per_stage() -> None:
    synthesis = SynthesisNetwork(BASE, CHANNELS, LATENT)
    assert all(layer.noise_scale.shape == () for layer in synthesis.convolutions())
    assert synthesis.noise_shapes(2) == [(1, 3, 2), (2, 6, 4), (2, 6, 4), (2, 6, 4), (4, 12, 8), (4, 12, 8)]
    assert [tuple(noise.shape) for noise in synthesis.draw_noise(3, 1)] == [(3, 1, 1, 3, 2), *2 * [(3, 1, 2, 6, 4)]]


# -- stages ----------------------------------------------------------------------------------------------------------


def generators() -> list[tuple[nn.Module, Tensor]]:
    torch.manual_seed(0)
    synthesis = SynthesisNetwork(BASE, CHANNELS, LATENT)
    return [(synthesis, torch.randn(2, 9, LATENT)), (ProGANGenerator(BASE, CHANNELS, LATENT), torch.randn(2, LATENT))]


@pytest.mark.parametrize("which", [0, 1])
def test_a_new_stage_fades_in_over_the_one_before(which: int) -> None:
    generator, latent = generators()[which]
    with torch.no_grad():
        for stage in (1, 2, 3):
            assert generator(latent, stage=stage).shape == (2, 1, *stage_shape(BASE, stage))
        before = F.interpolate(generator(latent, stage=2), scale_factor=2)
        after = generator(latent, stage=3)
        torch.testing.assert_close(generator(latent, stage=3, alpha=0.0), before)
        torch.testing.assert_close(generator(latent, stage=3, alpha=0.25), 0.75 * before + 0.25 * after)
        torch.testing.assert_close(generator(latent), after)
    assert (before - after).abs().max() > 0.01
    assert after.min() >= 0
    assert after.max() <= 1


def test_the_critic_fades_in_as_the_generator_does() -> None:
    torch.manual_seed(0)
    critic = Critic(CHANNELS)
    volume = torch.rand(2, 1, *stage_shape(BASE, 3))
    with torch.no_grad():
        old = critic(F.avg_pool3d(volume, 2), stage=2)
        assert old.shape == (2,)
        torch.testing.assert_close(critic(volume, stage=3, alpha=0.0), old)
        assert not torch.allclose(critic(volume, stage=3, alpha=0.5), old)
        features = critic.features(volume)
    assert [tuple(x.shape[1:]) for x in features] == [(4, 4, 12, 8), (6, 2, 6, 4), (6, 1, 3, 2)]


@pytest.mark.parametrize(("stage", "alpha"), [(0, 1.0), (4, 1.0), (2, 1.5), (2, -0.1)])
def test_an_impossible_stage_or_transition_is_refused(stage: int, alpha: float) -> None:
    for network, x in (*generators(), (Critic(CHANNELS), torch.rand(1, 1, 8, 24, 16))):
        with pytest.raises(ValueError, match=r"expected a stage|expected alpha"):
            network(x, stage=stage, alpha=alpha)


def test_wrong_latents_and_volumes_are_refused_with_the_right_shape() -> None:
    with pytest.raises(ValueError, match=r"styles \(n, 9, 5\)"):
        SynthesisNetwork(BASE, CHANNELS, LATENT)(torch.zeros(1, 8, LATENT))
    with pytest.raises(ValueError, match=r"latents \(n, 5\)"):
        ProGANGenerator(BASE, CHANNELS, LATENT)(torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"\(n, 1, 8, 24, 16\)"):
        ReversedEncoder(BASE, CHANNELS, LATENT)(torch.zeros(1, 1, 8, 24, 8))


# -- layers ----------------------------------------------------------------------------------------------------------


def test_layers_start_as_standard_normal_and_keep_the_size_of_what_passes() -> None:
    """Appendix B: parameters are N(0, 1); the running scale makes up for it."""
    torch.manual_seed(0)
    layer = EqualisedConv3d(32, 32, gain=1)
    with torch.no_grad():
        assert abs(float(layer.weight.std()) - 1) < 0.02
        assert abs(float(layer(torch.randn(1, 32, 8, 8, 8))[..., 1:-1, 1:-1, 1:-1].std()) - 1) < 0.1
        synthesis = SynthesisNetwork((4, 4, 4), [32, 32], 16)
        styled = synthesis.convolutions()[1]
        x = styled(torch.randn(1, 32, 8, 8, 8), torch.randn(1, 16))
        assert abs(float(x[..., 2:-2, 2:-2, 2:-2].square().mean()) - 1) < 0.2  # demodulated, LReLU made up for


def test_special_convolutions_are_what_they_stand_for() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 4, 6, 2, dtype=torch.float64)
    cases = [
        (EqualisedToImage(4), x, lambda m, y: F.conv3d(y, m.weight * m.scale, m.bias, padding=1)),
        (EqualisedFromImage(3), x[:, :1], lambda m, y: F.conv3d(y, m.weight * m.scale, m.bias, padding=1)),
        (EqualisedUpsampleConv3d(4, 3), x, lambda m, y: F.conv3d(F.interpolate(y, scale_factor=2), m.weight * m.scale,
                                                                 m.bias, padding=1)),
        (EqualisedDownsampleConv3d(4, 3), x, lambda m, y: F.avg_pool3d(F.conv3d(y, m.weight * m.scale, m.bias,
                                                                                padding=1), 2)),
    ]  # fmt: skip
    for layer, y, expected in cases:
        layer.double()
        nn.init.normal_(layer.bias)
        plain = expected(layer, y)
        torch.testing.assert_close(layer(y), plain, rtol=0, atol=1e-12)
        layer.fold()
        torch.testing.assert_close(layer(y), plain, rtol=0, atol=1e-12)


def test_pixel_normalisation_leaves_feature_vectors_of_length_one_per_channel() -> None:
    x = 7 * torch.randn(2, 5, 3, 2, 4)
    torch.testing.assert_close(pixel_norm(x).square().mean(1), torch.ones(2, 3, 2, 4))


def test_the_encoder_reads_the_whole_volume_and_the_latent_discriminator_gives_logits() -> None:
    torch.manual_seed(0)
    encoder = ReversedEncoder(BASE, CHANNELS, LATENT, dense=2)
    volume = torch.rand(2, 1, 8, 24, 16, requires_grad=True)
    w = encoder(volume)
    assert w.shape == (2, LATENT)
    w.sum().backward()
    assert volume.grad is not None
    assert bool((volume.grad != 0).all())
    assert LatentDiscriminator(LATENT)(w).shape == (2,)
    with torch.device("meta"):
        paper = ReversedEncoder(PAPER_BASE, PAPER_CHANNELS, 512, dense=2)
    assert paper.latent.in_features == 8064


def test_the_gradient_penalty_has_a_gradient() -> None:
    """Training differentiates the norm of a gradient through the critic, and through it the generator's weights."""
    torch.manual_seed(0)
    critic = Critic(CHANNELS)
    volume = torch.rand(2, 1, 8, 24, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic(volume, alpha=0.5).sum(), volume, create_graph=True)
    (gradient.flatten(1).norm(dim=1) - 1).square().sum().backward()
    assert all(bool(down.weight.grad.abs().sum() > 0) for down in critic.down)


# -- slabs -----------------------------------------------------------------------------------------------------------


def with_slabs(network: nn.Module, slab_bytes: int | None) -> nn.Module:
    for part in network.modules():
        if isinstance(part, InSlabs):
            part.slab_bytes = slab_bytes
    return network


def test_slabs_change_no_voxel_and_no_gradient() -> None:
    """Also where checkpoints recompute them; two, four and all slices at a time."""
    torch.manual_seed(0)
    volume = torch.rand(2, 1, 8, 24, 16)
    noise = list(SynthesisNetwork(BASE, CHANNELS, LATENT).draw_noise(1))
    (synthesis, w), (progan, z) = generators()
    for layer in synthesis.convolutions():
        nn.init.constant_(layer.noise_scale, 0.3)
    runs = [
        (synthesis, w, lambda x: synthesis(x, iter(noise))),
        (progan, z, progan),
        (encoder := ReversedEncoder(BASE, CHANNELS, LATENT), volume, encoder),
        (critic := Critic(CHANNELS), volume, lambda x: critic.features(x)[0]),
    ]
    for network, x, run in runs:
        found = []
        for slab_bytes in (None, 1, 4 * 24 * 16 * 2 * 4 * 2):
            with_slabs(network, slab_bytes)
            x = x.detach().clone().requires_grad_()
            y = run(x)
            y.square().sum().backward()
            with torch.no_grad():
                found.append((y.detach(), x.grad, run(x)))
        for other in found[1:]:
            for expected, same in zip(found[0], other, strict=True):
                torch.testing.assert_close(same, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_work_in_chunks_is_rounded_once_and_sees_every_slice(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, noise = torch.randn(2, 16, 40, 64, 64).to(dtype), torch.randn(1, 1, 40, 64, 64)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    gain, seen = torch.rand(1, 16, 1, 1, 1), []

    def work(part: Tensor, where: slice) -> None:
        seen.append(where)
        part.mul_(gain).add_(noise[:, :, where])

    expected = (x.float() * gain + noise).to(dtype)
    found = in_chunks(x, work)
    assert len(seen) >= 3
    assert found is x
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
