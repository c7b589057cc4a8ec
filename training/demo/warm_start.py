"""From a start learned by heart to a whole HA-GAN, on machines where adversarial training is out of reach.

Not part of the paper (docs/decisions/0008). The latent is given a meaning first (anatomy.py) and learned by heart
(auto_decoder.py); then, supervised by pairs (z, deformed scan): G^H and G^L at full resolution, E^H, and E^G. What
comes out is an HA-GAN like any other: the same networks, the same files, ready for adversarial training.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.hagan import NUM_SLABS, HAGANEncoder, HAGANGenerator, select_features
from training.demo.anatomy import (
    AXES,
    LATENT_DIM,
    bent,
    cropped,
    deform,
    deformation_of,
    draw,
    middles,
    milder,
    subject_of,
    toned,
)
from training.engine.orthogonal import OrthogonalDescent
from training.engine.precision import forward_here
from training.engine.processes import ALONE, Share, Tell
from training.hagan.trainer import save

STRIPPED_SHARE = 0.25
_FURTHER = 8.0
"""By how much more other people's heads differ in size and length than the generator has learned to follow."""
_STEPS = [step / 2 for step in range(-4, 5)]
"""In which the nearest latent is looked for, in deviations."""


@dataclass(frozen=True)
class Phase:
    """One stretch of optimisation: cosine decay from `rate` to 7% of it after 50 steps of linear warm-up."""

    steps: int
    batch_size: int
    rate: float

    def rate_at(self, step: int) -> float:
        decay = 0.5 * (1 + math.cos(math.pi * step / self.steps)) * 0.93 + 0.07
        return self.rate * min(1.0, (step + 1) / 50) * decay


@dataclass(frozen=True)
class Plan:
    """The phases in order. The shipped model had them piece by piece and not in one go (docs/decisions/0008)."""

    codes_coarse: Phase = Phase(400, 1, 4e-3)
    """Of each process one head, as up to `high`."""
    codes: Phase = Phase(3000, 1, 4e-3)
    grown: tuple[int, int] = (1000, 1600)
    """Between which steps of `codes` the deformations grow, from none to all."""
    codes_high: Phase = Phase(500, 1, 3e-3)
    solved_latents: int = 240
    """From how many latents conv2 is solved."""
    held: Phase = Phase(1150, 1, 4e-3)
    """Codes that conv2 can make."""
    high: Phase = Phase(240, 1, 2e-3)
    high_milder: Phase = Phase(80, 1, 1e-3)
    """At `milder`, what amplitudes count: wholly counted, they are met by grain too."""
    milder: float = 0.2
    encoder_high: Phase = Phase(80, 1, 2e-3)
    encoder_ground: Phase = Phase(90, 4, 2e-3)
    """E^G from the generator's own feature maps."""
    encoder_scans: Phase = Phase(1000, 4, 2e-3)
    """E^G from E^H's feature maps of deformed scans."""
    feature_scans: int = 400
    """How many deformed scans that phase has, 17 MB of features each, all in memory."""


class Scans:
    """Prepared scans on the network's grid, and their copies in [0, 1] at that and lower resolutions."""

    def __init__(self, whole: Sequence[Tensor], stripped: Sequence[Tensor], box_mm: tuple[float, float, float],
                 others: Sequence[Tensor] = ()) -> None:  # fmt: skip
        """`whole` heads and skull-`stripped` ones, `others` that the encoder alone sees: (S, S, S) uint8 each."""
        self.whole, self.stripped, self.box_mm = len(whole), len(stripped), box_mm
        self.size = whole[0].shape[0]
        self._stored = [scan[None] for scan in (*whole, *stripped, *others)]
        self.others = range(len(whole) + len(stripped), len(self._stored))
        """Places of the others among all."""
        self._levels: dict[int, list[Tensor]] = {}

    def level(self, factor: int) -> list[Tensor]:
        """(1, S/f, S/f, S/f) float32 each, by averaging."""
        if factor not in self._levels:
            scans = [F.avg_pool3d(scan.float() / 255, factor) for scan in self._stored]
            self._levels[factor] = scans
        return self._levels[factor]

    def of(self, z: Tensor, edge: int, place: int | None = None) -> Tensor:
        """What z describes, (1, edge, edge, edge) in [-1, 1], read from scans of twice that resolution.

        `place`: of another scan than z names.
        """
        scan = self.level(self.size // edge // 2)[self.index_of(z) if place is None else place]
        return deform(scan, deformation_of(z), (edge, edge, edge), self.box_mm)

    def slab_of(self, z: Tensor, start: int, slices: int, place: int | None = None) -> Tensor:
        """Some slices of the same at full resolution: (1, slices, S, S) in [-1, 1].

        `place`: of another scan than z names.
        """
        scan = self._stored[self.index_of(z) if place is None else place].float() / 255
        return deform(scan, deformation_of(z), (self.size,) * 3, self.box_mm, start, slices)

    def nearest_to(self, place: int) -> Tensor:
        """(4,): `nearest` to one of the scans."""
        return self.nearest(self.level(8)[place])

    def nearest(self, volume: Tensor, alike: Tensor | None = None) -> Tensor:
        """(1, S/8, S/8, S/8) in [0, 1] -> (4,): what makes one of the known heads nearest to it, in squared error.

        Of all half steps within two deviations. `alike`: of heads with a skull, or without one, as this z names.
        """
        latents, made = self._known
        if alike is not None:
            is_stripped = subject_of(alike, self.whole, self.stripped)[0]
            same = torch.tensor([subject_of(z, self.whole, self.stripped)[0] == is_stripped for z in latents])
            latents, made = latents[same], made[same]
        lit = torch.zeros(len(_STEPS), LATENT_DIM)
        lit[:, AXES["brightness"]] = torch.tensor(_STEPS)[:, None]
        gains = torch.tensor([deformation_of(row).gain for row in lit])
        errors = gains.square() * made.square().sum(1, keepdim=True) - 2 * gains * (made @ volume.reshape(-1, 1))
        best, step = divmod(int(errors.argmin()), len(_STEPS))
        return latents[best] + lit[step]

    @cached_property
    def _known(self) -> tuple[Tensor, Tensor]:
        """Latents of every known head in all steps of size and length, and what they describe: (n, 4), (n, (S/8)^3)."""
        heads = middles(self.whole, self.stripped)
        latents = torch.tensor([[*shape, 0.0, head] for *shape, head in itertools.product(_STEPS, _STEPS, heads)])
        made = torch.stack([(self.of(z, self.size // 8).flatten() + 1) / 2 for z in latents])
        return latents, made

    def index_of(self, z: Tensor) -> int:
        """Which of the whole heads, then of the stripped ones, z names."""
        is_stripped, index = subject_of(z, self.whole, self.stripped)
        return index + self.whole * is_stripped


def reconstruction_loss(made: Tensor, real: Tensor) -> Tensor:
    """Squared error of the volume and of its forward differences along the three axes, and a little L1.

    Squares first: where a structure is still uncertain, their optimum is its mean and it shows faintly, while L1 and
    absolute differences have the median as optimum and leave it out until more than half of its contrast is certain.
    """
    edges = torch.stack([F.mse_loss(made.diff(dim=k), real.diff(dim=k)) for k in (2, 3, 4)]).sum()
    return 4 * F.mse_loss(made, real) + 4 * edges + 0.3 * F.l1_loss(made, real)


ByAdam = Mapping[float, Sequence[nn.Parameter]]
"""Parameters by the factor of the rate that Adam moves them at."""
NONE_BY_ADAM: ByAdam = MappingProxyType({})


Optimisers = Sequence[tuple[torch.optim.Optimizer, float]]
"""Each with the factor of a phase's rate that it moves at."""


def optimisers_of(parameters: Sequence[nn.Parameter], by_adam: ByAdam = NONE_BY_ADAM) -> Optimisers:
    """Convolutions with several outputs go by orthogonalised momentum at ten times the rate, everything else by Adam.

    Those of `by_adam` go by Adam whatever they are. `optimise` sets the rates.
    """
    named = {id(p) for group in by_adam.values() for p in group}
    free = [p for p in parameters if id(p) not in named]
    kernels = [p for p in free if p.ndim == 5 and p.shape[0] > 1]
    groups = {1.0: [p for p in free if p.ndim != 5 or p.shape[0] == 1]}
    for factor, group in by_adam.items():
        groups[factor] = [*groups.get(factor, []), *group]
    adams = [(adam(group), factor) for factor, group in groups.items() if group]
    return [(OrthogonalDescent(kernels, lr=0.0), 10.0), *adams] if kernels else adams


def adam(parameters: Sequence[nn.Parameter]) -> torch.optim.Adam:
    """Its rate is set in every step."""
    return torch.optim.Adam(parameters, lr=0.0, betas=(0.9, 0.99))


def optimise(name: str, phase: Phase, optimisers: Optimisers, loss_of: Callable[[], Tensor], tell: Tell,
             share: Share = ALONE) -> Iterator[int]:  # fmt: skip
    """Descend; yields the step after each update, so that the caller can average."""
    trained = [p for optimiser, _ in optimisers for group in optimiser.param_groups for p in group["params"]]
    for step in range(phase.steps):
        for optimiser, factor in optimisers:
            optimiser.zero_grad(set_to_none=True)
            optimiser.param_groups[0]["lr"] = factor * phase.rate_at(step)
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        share.average(trained)
        for optimiser, _ in optimisers:
            optimiser.step()
        tell(name, step + 1, phase.steps, loss.item())
        yield step


@torch.no_grad()
def moments_of(generator: HAGANGenerator, features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal deviation of each group of what G^H's first convolution makes of the whole of A."""
    norm = generator.high.norm1
    whole = generator.high.conv1(features).float().reshape(len(features), norm.num_groups, -1)
    variance, mean = torch.var_mean(whole, dim=2, correction=0)
    return mean, (variance + norm.eps).rsqrt()


def slab_as_inferred(generator: HAGANGenerator, features: Tensor, start: int, slices: int,
                     moments: tuple[Tensor, Tensor] | None = None, halved: bool = False) -> Tensor:  # fmt: skip
    """Slices [start, start + slices), multiples of four, of the volume that inference makes from A.

    Unlike `sub_volume`, GroupNorm has the statistics of the whole volume (`moments`, which the backward pass holds
    still) and nothing is padded at the slab's faces. `halved`: at half the resolution, at which the last convolution's
    output is averaged (before tanh) for an eighth of the work.

    Returns:
        (n, 1, slices, S, S) in [-1, 1].
    """
    conv1, norm, conv2 = generator.high.conv1, generator.high.norm1, generator.high.conv2
    of_groups = moments_of(generator, features) if moments is None else moments
    mean, spread = (part.repeat_interleave(norm.num_channels // norm.num_groups, dim=1) for part in of_groups)
    gain = norm.weight * spread
    shift = norm.bias - mean * gain
    first, last = start // 4, (start + slices) // 4
    below = max(0, first - 2)  # two slices of A beyond each face: what the convolutions there see
    x = conv1(features[:, :, below : last + 2])
    x = F.relu_(x * gain[..., None, None, None] + shift[..., None, None, None])
    if halved:
        volume = torch.tanh(F.conv3d(x, halved_kernel(conv2.weight), conv2.bias, padding=1).float())
        return volume[:, :, 2 * (first - below) :][:, :, : slices // 2]
    volume = torch.tanh(conv2(x).float())
    return volume[:, :, 4 * (first - below) :][:, :, :slices]


def halved_kernel(weight: Tensor) -> Tensor:
    """(out, in, 3, 3, 3) after nearest-neighbour doubling -> the kernel that gives its output averaged over 2^3."""
    along = torch.tensor([[1.0, 0.0, 0.0], [1.0, 2.0, 1.0], [0.0, 0.0, 1.0]]) / 2
    return torch.einsum("oidhw,ad,bh,cw->oiabc", weight, along, along, along)


class WarmStart:
    """The encoder's phases, over the generator as it is."""

    def __init__(self, generator: HAGANGenerator, encoder: HAGANEncoder, scans: Scans, seed: int, tell: Tell) -> None:
        self.generator, self.encoder, self.scans, self.tell = generator, encoder, scans, tell
        self.source = torch.Generator().manual_seed(seed)
        for network in (generator, encoder):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def draw(self, count: int) -> Tensor:
        """(n, 4): a share of them skull-stripped."""
        return draw(count, self.source, STRIPPED_SHARE)

    def fit_encoder_high(self, phase: Phase) -> None:
        """E^H: eq. 6 of the paper, and the generator's own feature maps as the target."""
        self.generator.requires_grad_(False)
        slices = self.scans.size // NUM_SLABS

        def loss() -> Tensor:
            z = self.draw(phase.batch_size)
            start = self._start()
            real = torch.stack([self.scans.slab_of(row, start, slices) for row in z])
            with forward_here():
                found = self.encoder.high(real)
                wanted = select_features(self.generator.common(z), start, self.scans.size)
                made = self.generator.high(found)
            return F.l1_loss(made.float(), real) + 0.3 * F.l1_loss(found.float(), wanted.float())

        for _ in optimise("encoder high", phase, optimisers_of(list(self.encoder.high.parameters())), loss, self.tell):
            pass

    def fit_encoder_ground(self, generated: Phase, scanned: Phase, feature_scans: int) -> None:
        """E^G: z from the generator's feature maps, then from E^H's feature maps of deformed scans."""
        self.generator.requires_grad_(False)
        optimisers = optimisers_of(list(self.encoder.ground.parameters()))

        def from_generator(count: int) -> tuple[Tensor, Tensor]:
            z = self.draw(count)
            with torch.no_grad(), forward_here():
                features = self.generator.common(z).float()
            noise = torch.randn(features.shape, generator=self.source) * 0.1
            return features + noise, z

        def loss_generated() -> Tensor:
            features, z = from_generator(generated.batch_size)
            with forward_here():
                found = self.encoder.ground(features)
            return F.smooth_l1_loss(found.float(), z)

        for _ in optimise("encoder ground", generated, optimisers, loss_generated, self.tell):
            pass
        seen = self.features_of_scans(feature_scans)

        def loss_scanned() -> Tensor:
            features, z = from_generator(1)
            chosen = torch.randint(len(seen), (scanned.batch_size - 1,), generator=self.source).tolist()
            features = torch.cat([features, *(seen[k][0][None].float() for k in chosen)])
            z = torch.cat([z, *(seen[k][1][None] for k in chosen)])
            with forward_here():
                found = self.encoder.ground(features)
            return F.smooth_l1_loss(found.float(), z)

        for _ in optimise("encoder scans", scanned, optimisers, loss_scanned, self.tell):
            pass

    @torch.no_grad()
    def features_of_scans(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """A-hat in float16 and z for `count` scans; too large to make anew in every step.

        A third are known heads as z describes them, the others other people's.
        """
        made = []
        for index in range(count):
            z = self.draw(1)[0]
            if index % 3:
                volume, z = self.another(int(torch.randint(self.scans.others.stop, (1,), generator=self.source)))
            else:
                volume = (self.scans.slab_of(z, 0, self.scans.size) + 1) / 2
            made.append((self._features_of(volume), z))
            self.tell("scans for the encoder", index + 1, count, 0.0)
        return made

    def another(self, place: int) -> tuple[Tensor, Tensor]:
        """A head that nobody has, (1, S, S, S) in [0, 1], and the nearest z that has a skull, or none, like it.

        One of the scans, sized, bent, cut where a field of view ends, and of another contrast.
        """
        z = milder(self.draw(1), _FURTHER)[0]
        z[AXES["brightness"]] /= _FURTHER
        volume = (self.scans.slab_of(z, 0, self.scans.size, place) + 1) / 2
        volume = toned(cropped(bent(volume, self.source), self.source), self.source)
        return volume, self.scans.nearest(F.avg_pool3d(volume, 8), self.scans.nearest_to(place))

    def _features_of(self, volume: Tensor) -> Tensor:
        """A-hat of (1, S, S, S) in [0, 1]: (2 width, S/4, S/4, S/4) in float16."""
        slabs = torch.split(volume * 2 - 1, self.scans.size // NUM_SLABS, dim=1)
        with forward_here():
            return torch.cat([self.encoder.high(slab[None]) for slab in slabs], dim=2)[0].half()

    def _start(self) -> int:
        """r: a sub-volume's first slice, on a slice of A."""
        last = self.scans.size // 4 * 7 // NUM_SLABS
        return 4 * int(torch.randint(last + 1, (1,), generator=self.source))


def each_once(phases: Mapping[str, Callable[[], None]], out: Path, networks: nn.Module,
              source: torch.Generator, share: Share = ALONE) -> None:  # fmt: skip
    """Phase after phase. Of one whose end `out` already holds, networks and randomness are taken up instead.

    Of several processes the first one writes; their networks are the same.
    """
    for name, fit in phases.items():
        saved = out / f"{name}.pt"
        if saved.exists():
            state = torch.load(saved, weights_only=True)
            networks.load_state_dict(state["networks"])
            source.set_state(state["source"])
            continue
        fit()
        if share.rank == 0:
            save(saved, {"networks": networks.state_dict(), "source": source.get_state()})


def new_networks(size: int, width: int, seed: int) -> tuple[HAGANGenerator, HAGANEncoder]:
    """Randomly initialised networks of the anatomical latent's length."""
    torch.manual_seed(seed)
    return HAGANGenerator(size, width, LATENT_DIM), HAGANEncoder(size, width, LATENT_DIM)
