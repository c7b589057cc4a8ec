"""Split&Shuffle-GAN's networks: against a straightforward evaluation, and the paper's counts of parameters."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.split_shuffle import SplitShuffleGenerator
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.sizes.split_shuffle import Architecture, Variant

TAPS = (1, 3, 3, 1)
CONV = {2: F.conv2d, 3: F.conv3d}

# -- the networks written out: one sample, one branch and one tap at a time -------------------------------------------


def plain_filter(x: Tensor, gain: float) -> Tensor:
    """[1, 3, 3, 1] / 8 along each axis of (n, c, *d), without padding: (n, c, *(d - 3))."""
    for axis in range(2, x.ndim):
        x = sum(x.narrow(axis, k, x.shape[axis] - 3) * (tap / 8 * gain) for k, tap in enumerate(TAPS))
    return x


def spread(x: Tensor, before: int, after: int) -> Tensor:
    """Zeros between the voxels and around them: (n, c, *(2 d - 1 + before + after))."""
    edges = [2 * n - 1 + before + after for n in x.shape[2:]]
    wide = x.new_zeros(*x.shape[:2], *edges)
    wide[(..., *(slice(before, before + 2 * n - 1, 2) for n in x.shape[2:]))] = x
    return wide


def padded(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by) * (x.ndim - 2))


def plain_shuffle(parts: list[Tensor], variant: Variant) -> Tensor:
    if variant != "split-shuffle":
        return torch.cat(parts)
    return torch.stack([part[k] for k in range(len(parts[0])) for part in parts])


def plain_lrelu(x: Tensor) -> Tensor:
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def plain_styled(layer: nn.Module, x: Tensor, w: Tensor, noise: Tensor, variant: Variant) -> Tensor:
    """One sample (c, *d): eq. 1 and 2 on the weights of each branch."""
    style = layer.affine.weight @ w / math.sqrt(len(w)) + layer.affine.bias
    branches = 1 if variant == "baseline" else 2
    parts = []
    for part, half, weight in zip(x.chunk(branches), style.chunk(branches), layer.weight.chunk(branches), strict=True):
        modulated = weight * half.view(1, -1, *(1,) * (x.ndim - 1))
        modulated = modulated / (modulated.square().flatten(1).sum(1) + 1e-8).sqrt().view(-1, *(1,) * x.ndim)
        before = spread(part[None], 2, 2) if layer.doubles else padded(part[None], 1)
        parts.append(CONV[x.ndim - 1](before, modulated)[0])
    x = plain_shuffle(parts, variant)
    if layer.doubles:
        x = plain_filter(padded(x[None], 1), gain=2)[0]
    return plain_lrelu(x + layer.noise_scale * noise + layer.bias.view(-1, *(1,) * (x.ndim - 1)))


def plain_image(layer: nn.Module, x: Tensor, w: Tensor) -> Tensor:
    style = (layer.affine.weight @ w / math.sqrt(len(w)) + layer.affine.bias) / math.sqrt(len(x))
    return sum(s * weight * channel for s, weight, channel in zip(style, layer.weight, x, strict=True)) + layer.bias


def plain_generator(generator: SplitShuffleGenerator, z: Tensor, noise: list[Tensor], variant: Variant) -> Tensor:
    """One sample: z (z_dim,) -> (*shape)."""
    w = z / (z.square().mean() + 1e-8).sqrt()
    for layer in generator.mapping.layers:
        w = plain_lrelu(0.01 * (layer.weight @ w / math.sqrt(len(w)) + layer.bias))
    layers, to_image = iter(generator.synthesis.convolutions), iter(generator.synthesis.to_image)
    maps = iter(noise)
    x = plain_styled(next(layers), generator.synthesis.constant, w, next(maps), variant)
    image = plain_image(next(to_image), x, w)
    for layer in layers:
        x = plain_styled(layer, x, w, next(maps), variant)
        x = plain_styled(next(layers), x, w, next(maps), variant)
        image = plain_filter(spread(image[None, None], 2, 2), gain=2)[0, 0]
        image = image + plain_image(next(to_image), x, w)
    return image


def scaled(weight: Tensor) -> Tensor:
    return weight / math.sqrt(math.prod(weight.shape[1:]))


def plain_module(layer: nn.Module, x: Tensor, variant: Variant) -> Tensor:
    """One sample (c, *d) -> (c, *d), or half the edges; before the gain."""
    dims, stride = x.ndim - 1, 2 if layer.halves else 1

    def conv(part: Tensor, weight: Tensor) -> Tensor:
        around = weight.shape[-1] // 2
        part = plain_filter(padded(part[None], around + 1), 1) if layer.halves else padded(part[None], around)
        return CONV[dims](part, scaled(weight), stride=stride)[0]

    if variant == "baseline":
        x = conv(x, layer.spatial)
    elif variant == "group-d":
        x = torch.cat([conv(a, w) for a, w in zip(x.chunk(4), layer.spatial.chunk(4), strict=True)])
    elif variant == "depthwise-d":
        each = [conv(a[None], w[None]) for a, w in zip(x, layer.spatial, strict=True)]
        x = CONV[dims](torch.cat(each)[None], scaled(layer.pointwise))[0]
    else:
        x = plain_shuffle([conv(x.chunk(2)[0], layer.spatial), conv(x.chunk(2)[1], layer.pointwise)], variant)
    return plain_lrelu(x + layer.bias.view(-1, *(1,) * dims))


def plain_discriminator(critic: SplitShuffleDiscriminator, images: Tensor, variant: Variant, size: int) -> list[float]:
    """(n, 1, *shape) -> n logits; sample k is in the group of the samples k modulo n / size."""
    dims, last = images.ndim - 2, []
    for image in images:
        bias = critic.from_image_bias.view(-1, *(1,) * dims)
        x = plain_lrelu(critic.from_image.flatten().view(-1, *(1,) * dims) * image + bias)
        for block in critic.blocks:
            skip = plain_filter(padded(x[None], 1), 1)[(..., *(slice(None, None, 2),) * dims)]
            skip = CONV[dims](skip, scaled(block.skip))[0]
            x = plain_module(block.second, plain_module(block.first, x, variant), variant)
            x = (x + skip) / math.sqrt(2)
        last.append(x)
    logits = []
    for k, x in enumerate(last):
        group = torch.stack(last[k % (len(last) // size) :: len(last) // size])
        deviation = (group.var(0, correction=0) + 1e-8).sqrt().mean()
        x = torch.cat([x, deviation.expand(1, *x.shape[1:])])
        if variant != "depthwise-d":
            x = CONV[dims](x[None], scaled(critic.take_in), padding=critic.take_in.shape[-1] // 2)[0]
        if variant in ("baseline", "group-d"):
            x = plain_lrelu(x + critic.last_bias.view(-1, *(1,) * dims))
        else:
            x = plain_module(critic.last, x, variant)
        x = plain_lrelu(scaled(critic.dense.weight) @ x.flatten() + critic.dense.bias)
        logits.append(float(scaled(critic.verdict.weight) @ x + critic.verdict.bias))
    return logits


# -- tests ------------------------------------------------------------------------------------------------------------

ARCHITECTURES = [
    Architecture(base, 2, 4, variant)
    for base, variant in itertools.product([(1, 2, 3), (3, 2)], ["baseline", "split", "split-shuffle"])
]


def moved(network: nn.Module) -> nn.Module:
    """Every bias and scale away from its start, so that it counts; double precision."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return network.double()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.dims}d-{a.variant}")
def test_the_generator_is_what_the_plain_evaluation_gives(architecture: Architecture) -> None:
    torch.manual_seed(0)
    generator = moved(SplitShuffleGenerator(architecture, z_dim=5, w_dim=6))
    z, noise = torch.randn(2, 5, dtype=torch.double), list(generator.synthesis.draw_noise(2))
    with torch.no_grad():
        images = generator.synthesis(generator.styles(z), iter(noise))
        for k, image in enumerate(images):
            expected = plain_generator(generator, z[k], [one[k, 0] for one in noise], architecture.variant)
            torch.testing.assert_close(image[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "architecture",
    [*ARCHITECTURES, *(Architecture((1, 2, 3), 2, 8, variant) for variant in ("group-d", "depthwise-d"))],
    ids=lambda a: f"{a.dims}d-{a.variant}",
)
def test_the_discriminator_is_what_the_plain_evaluation_gives(architecture: Architecture) -> None:
    torch.manual_seed(1)
    critic = moved(SplitShuffleDiscriminator(architecture))
    images = torch.randn(6, 1, *architecture.shape, dtype=torch.double)
    with torch.no_grad():
        expected = plain_discriminator(critic, images, architecture.variant, size=3)
        assert critic(images).tolist() == pytest.approx(expected, rel=1e-9)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("base", "of_generator", "of_discriminator", "printed"),
    [
        ((2, 4, 4), "baseline", "baseline", "0.600"),  # tables III and V
        ((2, 4, 4), "split-shuffle", "split-shuffle", "0.291"),
        ((2, 4, 4), "split", "split", "0.291"),  # table III
        ((2, 4, 4), "baseline", "split-shuffle", "0.416"),  # table III, Split&Shuffle-D
        ((2, 4, 4), "group-d", "group-d", "0.434"),  # table III
        ((2, 4, 4), "depthwise-d", "depthwise-d", "0.367"),  # table III
        ((4, 4, 4), "baseline", "baseline", "0.633"),  # table VI
        ((4, 4, 4), "split-shuffle", "split-shuffle", "0.325"),
    ],
)
def test_the_networks_have_as_many_parameters_as_the_paper_says(
    base: tuple[int, ...], of_generator: Variant, of_discriminator: Variant, printed: str
) -> None:
    with torch.device("meta"):
        generator = SplitShuffleGenerator(Architecture(base, variant=of_generator))
        discriminator = SplitShuffleDiscriminator(Architecture(base, variant=of_discriminator))
    assert f"{(count(generator) + count(discriminator)) / 1e6:.3f}" == printed


def test_sizes_that_no_network_has_are_refused() -> None:
    for sizes in [
        {"base": (4,)},
        {"base": (0, 2, 2)},
        {"base": (2, 2), "channels": 5},
        {"base": (2, 2), "doublings": 0},
        {"base": (2, 2), "channels": 6, "variant": "group-d"},
    ]:
        with pytest.raises(ValueError, match="expected"):
            Architecture(**sizes)
    generator = SplitShuffleGenerator(Architecture((1, 2, 2), 1, 4), 4, 4)
    with pytest.raises(ValueError, match=r"expected styles \(n, 4, 4\)"):
        generator.synthesis(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="expected images"):
        SplitShuffleDiscriminator(Architecture((1, 2, 2), 1, 4))(torch.zeros(1, 1, 4, 4, 4))
