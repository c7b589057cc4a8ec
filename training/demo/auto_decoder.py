"""Heads learned by heart: the first part of the start of `brain-demo-256` (docs/decisions/0008).

An auto-decoder (Park et al. 2019) first: each head has a free code in the place of G^A's maps at 8^3, and a tangent of
that code for each axis of z that deforms it; codes, tangents and the layers after them are learned together. The layers
before them are then set and solved to make those codes from z.

The error is taken in octaves, each weighed by the inverse of the head's own energy in that octave round about: skull
and skin have nearly all of the energy, and gyri are what a head is looked at for.
"""

import zlib
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.hagan import CommonGenerator, HAGANGenerator
from model_store.networks.layers import NormReLU
from training.demo.anatomy import DEFORMING, boundaries, draw, milder
from training.demo.warm_start import (
    STRIPPED_SHARE,
    ByAdam,
    Phase,
    Scans,
    moments_of,
    optimise,
    optimisers_of,
    reconstruction_loss,
    slab_as_inferred,
)
from training.engine.precision import forward_here
from training.engine.processes import Share, Tell

AXES = DEFORMING.stop - DEFORMING.start
_CODE_EDGE = 8
_ENERGY_EDGE = 8
"""Over how many voxels of its octave a head's energy is averaged."""
_STEEPNESS, _BALLAST, _RIDGE = 8.0, 600.0, 3e-5
_HELD_EVERY = 10
"""Steps between two solutions of conv2."""
_SLABS = 3
"""That G^H learns from of each volume, where the layers before it are not learned."""
_MOMENTS_KEPT = 6
"""For how many steps of a head G^H's statistics are held."""
_LEAST_ENERGY = 0.05
"""Of the octave's mean energy: less counts as much as this, so that air does not weigh infinitely."""
AMPLITUDE = 1.0
"""What an octave's amplitude counts beside its squared error, in what makes the volumes that are served."""
_NO_ENERGY = 1e-8
"""So that a root has a slope at nought."""


def octaves(volume: Tensor) -> list[Tensor]:
    """(n, 1, d, h, w) -> what each halving of the resolution takes away, finest first, and what is left."""
    found = []
    while min(volume.shape[2:]) >= _ENERGY_EDGE:
        halved = F.avg_pool3d(volume, 2)
        found.append(volume - F.interpolate(halved, scale_factor=2, mode="trilinear"))
        volume = halved
    return [*found, volume]


@torch.no_grad()
def octave_weights(bands: Sequence[Tensor], whole: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of each octave's energy round about, of `octaves` of a part of a head; of the last, of its variance.

    `whole`: `octaves` of the whole head, by which is judged what is little, as a slab may be air alone.
    """
    found = []
    for band, everywhere in zip(bands[:-1], whole, strict=False):
        around = F.interpolate(F.avg_pool3d(band.square(), _ENERGY_EDGE), size=band.shape[2:], mode="trilinear")
        found.append(1 / (around + _LEAST_ENERGY * everywhere.square().mean()))
    coarser = [band.square().mean() for band in whole[len(bands) - 1 : -1]]
    return [*found, 1 / torch.stack([*coarser, whole[-1].var()]).sum()]


def octave_loss(made: Tensor, real: Tensor, whole: Sequence[Tensor] | None = None, amplitude: float = 0.0) -> Tensor:
    """Squared error of each octave by the head's own energy there; 1 an octave where nothing but air is made.

    `amplitude`: what an octave's amplitude round about counts beside it. What is half certain comes out of a squared
    error at half its amplitude, which is blur.
    """
    wanted = octaves(real)
    everywhere = wanted if whole is None else whole
    weights = octave_weights(wanted, everywhere)
    bands = octaves(made)
    terms = [(weight * (a - b).square()).mean() for a, b, weight in zip(bands, wanted, weights, strict=True)]
    if amplitude:
        finer = zip(bands[:-1], wanted[:-1], everywhere, strict=False)
        terms += [amplitude * _amplitudes_apart(a, b, _LEAST_ENERGY * c.square().mean()) for a, b, c in finer]
    return torch.stack(terms).sum()


def _amplitudes_apart(made: Tensor, real: Tensor, least: Tensor) -> Tensor:
    """Squared difference of the octave's root mean squares round about, by the head's own."""
    have, wanted = (F.avg_pool3d(band.square(), _ENERGY_EDGE).add(_NO_ENERGY).sqrt() for band in (made, real))
    return ((have - wanted).square() / (wanted.square() + least)).mean()


def sub_voxels(maps: Tensor) -> Tensor:
    """(n, k^3, e, e, e) -> (n, 1, k e, k e, k e): each channel one of the sub-voxels of its voxel."""
    n, channels, d, h, w = maps.shape
    k = round(channels ** (1 / 3))
    blocks = maps.reshape(n, k, k, k, d, h, w).permute(0, 4, 1, 5, 2, 6, 3)
    return blocks.reshape(n, 1, k * d, k * h, k * w)


class Readers(nn.Module):
    """Volumes from the maps of the last three stages, each by one convolution to sub-voxels; thrown away afterwards."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stage3 = nn.Conv3d(8 * width, 64, 3, padding=1)
        self.stage4 = nn.Conv3d(4 * width, 8, 3, padding=1)
        self.stage5 = nn.Conv3d(2 * width, 8, 1)

    def forward(self, maps: Tensor, stage: int) -> Tensor:
        """The maps after norm3, norm4 or norm5 -> (n, 1, e, e, e) with e = S/4, S/4 or S/2."""
        return sub_voxels(self.get_submodule(f"stage{stage}")(maps))


class Codes(nn.Module):
    """A code and its tangents for each head, in the place of what conv2 makes."""

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(heads, 1 + AXES, channels, *[_CODE_EDGE] * 3))
        with torch.no_grad():
            self.table[:, 1:] = 0

    def forward(self, index: int, z: Tensor) -> Tensor:
        """(4,) -> (1, channels, 8, 8, 8): C + sum of z_d T_d."""
        along = torch.cat([z.new_ones(1), z[DEFORMING]])
        return torch.einsum("a,acdhw->cdhw", along, self.table[index])[None]


class AutoDecoder:
    """The phases over one generator; several processes share each batch, one head each."""

    def __init__(
        self, generator: HAGANGenerator, scans: Scans, width: int, seed: int, share: Share, tell: Tell
    ) -> None:
        self.generator, self.scans, self.share, self.tell = generator, scans, share, tell
        self.codes = Codes(scans.whole + scans.stripped, 16 * width)
        self.readers = Readers(width)
        self._moments: dict[int, tuple[int, tuple[Tensor, Tensor] | None]] = {}
        self.seed, self.source = seed, torch.Generator()
        generator.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.readers.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def _seed(self, name: str) -> None:
        """Of one phase in this process."""
        self.source.manual_seed(zlib.crc32(f"{self.seed} {name} {self.share.rank}".encode()))

    def _draw(self, count: int, spread: float) -> Tensor:
        """(n, 4), some of them skull-stripped, with `spread` times the deformations."""
        return milder(draw(count, self.source, STRIPPED_SHARE if self.scans.stripped else 0.0), spread)

    def _maps_from(self, code: Tensor, last: int = 5) -> list[Tensor]:
        """What conv2 makes -> the maps after norm3 up to those after norm `last`."""
        common, maps = self.generator.common, []
        x: Tensor = common.get_submodule("norm2")(code)
        for index in range(3, last + 1):
            x = common.get_submodule(f"norm{index}")(common.get_submodule(f"conv{index}")(x))
            maps.append(x)
        return maps

    def _loss(self, code: Tensor, z: Tensor, last: int, high: bool) -> Tensor:
        """Of the volume read from the maps after norm `last`; `high` also of a slab of what G^H makes of them."""
        with forward_here():
            maps = self._maps_from(code, last)
            read = [self.readers(maps[-1], last)]
            if last == 4:
                read.append(self.readers(maps[0], 3))
        made = [volume.float() for volume in read]
        real = torch.stack([self.scans.of(row, made[0].shape[-1]) for row in z])
        total = octave_loss(made[0], real) + 0.3 * sum(octave_loss(early, real) for early in made[1:])
        if high:
            total = total + self._high_loss(maps[-1], real, self._moments_of(maps[-1], self.scans.index_of(z[0])))
        return total

    def _high_loss(
        self, features: Tensor, real: Tensor, moments: tuple[Tensor, Tensor], amplitude: float = 0.0
    ) -> Tensor:
        """`octave_loss` of an eighth of the volume at S/2 that G^H makes, its last convolution averaged over 2^3."""
        edge = features.shape[2]
        slices = max(4, edge // 8)
        start = int(torch.randint(edge - slices + 1, (1,), generator=self.source))
        with forward_here():
            made = slab_as_inferred(self.generator, features, 4 * start, 4 * slices, moments, halved=True)
        return octave_loss(made, real[:, :, 2 * start : 2 * (start + slices)], octaves(real), amplitude)

    def _moments_of(self, features: Tensor, head: int) -> tuple[Tensor, Tensor]:
        """G^H's statistics of this head, which change slowly: of its features now or of some steps ago."""
        age, moments = self._moments.get(head, (_MOMENTS_KEPT, None))
        if moments is None or age >= _MOMENTS_KEPT:
            with forward_here():
                age, moments = 0, moments_of(self.generator, features)
        self._moments[head] = age + 1, moments
        return moments

    def fit_codes(self, name: str, phase: Phase, grown: tuple[int, int] | None, last: int, high: bool = False) -> None:
        """Codes, tangents and convolutions 3 to `last`, with `high` G^H. Deformations grow between two steps."""
        step = 0

        def loss() -> Tensor:
            nonlocal step
            share = 0.0 if grown is None else min(1.0, max(0.0, (step - grown[0]) / max(1, grown[1] - grown[0])))
            step += 1
            z = self._draw(1, share)
            code = self.codes(self.scans.index_of(z[0]), z[0])
            return self._loss(code, z, last, high)

        self._fit(name, phase, self._after_codes(last, high), {10.0: [self.codes.table]}, loss)

    def _after_codes(self, last: int, high: bool) -> nn.ModuleList:
        """norm2, convolutions 3 to `last` with their norms, and G^H with `high`."""
        common = self.generator.common
        parts = [common.get_submodule(f"{kind}{k}") for k in range(3, last + 1) for kind in ("conv", "norm")]
        return nn.ModuleList([*parts, common.get_submodule("norm2"), *([self.generator.high] if high else [])])

    def _fit(self, name: str, phase: Phase, parts: nn.Module, by_adam: ByAdam, loss: Callable[[], Tensor]) -> None:
        """`parts`, the readers and what else goes by Adam."""
        self._seed(name)
        trained = [*parts.parameters(), *self.readers.parameters()]
        optimisers = optimisers_of(trained, {1.0: [*self.readers.parameters()], **by_adam})
        for _ in optimise(name, phase, optimisers, loss, self.tell, self.share):
            pass

    def set_first_layers(self) -> None:
        """fc1 and conv1, as `set_gates` has them."""
        self._seed("first layers")
        common = self.generator.common
        if self.share.rank == 0:
            set_gates(common, boundaries(self.scans.whole, self.scans.stripped), self.source)
        self.share.follow_the_first(common)

    def fit_held(self, phase: Phase, latents: int) -> None:
        """As `fit_codes`, of codes that conv2 can make of the first layers; at the end it makes them.

        Codes that are free are more than conv2 has weights for: solved afterwards, it made next to nothing of their
        tangents. `latents`: from how many it is solved.
        """
        heads = self.scans.whole + self.scans.stripped
        made_by_conv2 = Conv2(self.generator.common, heads, self.scans.index_of, self._drawn_alike(latents))
        step = 0

        def loss() -> Tensor:
            nonlocal step
            if step % _HELD_EVERY == 0:
                made_by_conv2.hold(self.codes.table)
            step += 1
            z = self._draw(1, 1.0)
            return self._loss(self.codes(self.scans.index_of(z[0]), z[0]), z, 5, high=False)

        self._fit("held", phase, self._after_codes(5, high=False), {10.0: [self.codes.table]}, loss)
        made_by_conv2.hold(self.codes.table)

    def _drawn_alike(self, latents: int) -> Tensor:
        """(n, 4): the same in every process."""
        source = torch.Generator().manual_seed(self.seed)
        return draw(latents, source, STRIPPED_SHARE if self.scans.stripped else 0.0)

    def fit_high(self, phase: Phase, amplitude: float = AMPLITUDE) -> None:
        """G^H, by octaves at half resolution and of some slices at the full one, and G^L, from z as it is served."""
        self._seed("high")
        generator, scans = self.generator, self.scans
        slices = scans.size // 16

        def loss() -> Tensor:
            z = self._draw(phase.batch_size, 1.0)
            with torch.no_grad(), forward_here():
                features = generator.common(z)
                moments = moments_of(generator, features)
            half, low = (torch.stack([scans.of(row, scans.size // k) for row in z]) for k in (2, 4))
            by_octaves = [self._high_loss(features, half, moments, amplitude) for _ in range(_SLABS)]
            start = 4 * int(torch.randint((scans.size - slices) // 4 + 1, (1,), generator=self.source))
            full = torch.stack([scans.slab_of(row, start, slices) for row in z])
            middle = torch.stack([scans.slab_of(row, 3 * scans.size // 8, 2 * slices) for row in z])
            with forward_here():
                made = slab_as_inferred(generator, features, start, slices, moments)
                made_low = generator.low(features)
            by_octaves.append(octave_loss(made, full, octaves(middle), amplitude))
            return torch.stack(by_octaves).mean() + reconstruction_loss(made_low.float(), low)

        trained = [*generator.high.parameters(), *generator.low.parameters()]
        for _ in optimise("high", phase, optimisers_of(trained), loss, self.tell, self.share):
            pass


def hidden(common: CommonGenerator, z: Tensor) -> Tensor:
    """(n, 4) -> the maps after norm1, (n, channels, 4, 4, 4)."""
    x = common.fc1(z).view(len(z), -1, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    made: Tensor = common.get_submodule("norm1")(common.get_submodule("conv1")(x))
    return made


@torch.no_grad()
def set_gates(common: CommonGenerator, at: Sequence[float], source: torch.Generator) -> None:
    """Let fc1, conv1 and norm1 make ramps that begin steeply at a boundary between two scans, either way.

    After ReLU, differences of two of them are steps at the boundary, and steps times an axis that deforms: what a code
    with tangents is made of. They begin here and there by up to an eighth, and mix the deforming axes at random.
    GroupNorm would shrink them where z is far from nought; two channels of each group lie so far below that they alone
    make its variance, and are nought after ReLU.
    """
    conv1: nn.Conv3d = common.conv1  # type: ignore[assignment]
    norm1: NormReLU = common.norm1  # type: ignore[assignment]
    rows, channels = common.fc1.weight.shape[0], common.start_channels
    begins = torch.tensor(at)[torch.randint(len(at), (rows,), generator=source)]
    steepness = _STEEPNESS * (2.0 * torch.randint(2, (rows,), generator=source) - 1)
    common.fc1.weight[:, DEFORMING] = 0.5 * torch.randn(rows, AXES, generator=source)
    common.fc1.weight[:, DEFORMING.stop] = steepness
    common.fc1.bias.copy_(2 * torch.rand(rows, generator=source) - 1 - steepness * begins)
    nn.init.dirac_(conv1.weight)
    conv1.bias.zero_()  # type: ignore[union-attr]
    group = channels // norm1.num_groups
    share = 2 / group
    for place in (0, 1):
        common.fc1.weight.view(channels, -1)[place::group] = 0
        common.fc1.bias.view(channels, -1)[place::group] = -_BALLAST
    norm1.weight.fill_(_BALLAST * (share * (1 - share)) ** 0.5)
    norm1.bias.fill_(-_BALLAST * share)


class Conv2:
    """What conv2 can make of the maps after norm1, by ridge regression from some latents."""

    def __init__(self, common: CommonGenerator, heads: int, index_of: Callable[[Tensor], int], z: Tensor) -> None:
        """`heads` codes, of which `index_of` a latent names one; z: (n, 4), every head among them."""
        self.conv2: nn.Conv3d = common.conv2  # type: ignore[assignment]
        places, taps = _CODE_EDGE**3, self.conv2.weight[0].numel() + 1
        self._moments = torch.zeros(heads * (1 + AXES), places, taps)
        self._of_axes = torch.zeros(heads * (1 + AXES), heads * (1 + AXES))
        gram = torch.zeros(taps, taps)
        for row in z:
            seen = _taps(common, row)
            gram.addmm_(seen.T, seen)
            along, begin = torch.cat([z.new_ones(1), row[DEFORMING]]), index_of(row) * (1 + AXES)
            own = slice(begin, begin + 1 + AXES)
            self._moments[own] += along[:, None, None] * seen
            self._of_axes[own, own] += along[:, None] * along
        self._factor = torch.linalg.cholesky(gram + _RIDGE * gram.diagonal().mean() * torch.eye(taps))

    @torch.no_grad()
    def hold(self, table: Tensor) -> None:
        """Solve conv2 for codes and tangents, and make them what it makes: (heads, 1 + AXES, channels, 8, 8, 8)."""
        wanted = table.flatten(3).transpose(2, 3).flatten(0, 2)
        seen = self._moments.flatten(0, 1)
        solved = torch.cholesky_solve(seen.T @ wanted, self._factor)
        self.conv2.weight.copy_(solved[:-1].T.reshape(self.conv2.weight.shape))
        self.conv2.bias.copy_(solved[-1])  # type: ignore[union-attr]
        made = torch.linalg.solve(self._of_axes, (seen @ solved).view(len(self._of_axes), -1))
        table.copy_(made.view(*table.shape[:2], -1, table.shape[2]).transpose(2, 3).reshape(table.shape))


@torch.no_grad()
def _taps(common: CommonGenerator, z: Tensor) -> Tensor:
    """(4,) -> (512, channels * 27 + 1): what conv2 sees at each place of its maps, and 1 for its bias."""
    doubled = F.pad(F.interpolate(hidden(common, z[None]), scale_factor=2), (1,) * 6)[0]
    windows = doubled.unfold(1, 3, 1).unfold(2, 3, 1).unfold(3, 3, 1)
    seen = windows.movedim(0, 3).flatten(3).flatten(0, 2)
    return torch.cat([seen, seen.new_ones(len(seen), 1)], 1)
