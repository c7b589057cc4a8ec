"""Warm start of HA-GAN from a handful of scans, for machines where adversarial training from scratch is out of reach.

Not part of the paper (docs/decisions/0008). The latent is given a meaning first (anatomy.py); then, supervised by pairs
(z, deformed scan): G^A with G^L at growing resolution, G^A with G^H at full resolution, E^H, and E^G. What comes out is
an HA-GAN like any other: the same networks, the same files, ready for the adversarial training of hagan.py.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.hagan import NUM_SLABS, HAGANEncoder, HAGANGenerator, select_features
from model_store.networks.layers import NormReLU
from training.demo.anatomy import LATENT_DIM, deform, deformation_of, draw, subject_of
from training.engine.average import ParameterAverage
from training.engine.orthogonal import OrthogonalDescent
from training.hagan.trainer import save

Tell = Callable[[str, int, int, float], None]
"""Progress: phase, step, steps, loss."""
STRIPPED_SHARE = 0.2


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
    """The phases in order; the defaults made the shipped model."""

    low: tuple[Phase, ...] = (Phase(500, 8, 3e-3), Phase(1000, 6, 3e-3), Phase(1700, 2, 2.5e-3))
    """G^A and G^L at S/16, S/8 and S/4."""
    high: Phase = Phase(250, 1, 3e-3)
    """G^H alone."""
    joint: Phase = Phase(200, 1, 2e-3)
    """G^H and G^L with G^A's last two convolutions, so that A holds what G^H can read."""
    joint_again: Phase = Phase(150, 1, 1.5e-3)
    encoder_high: Phase = Phase(100, 1, 2e-3)
    encoder_ground: Phase = Phase(200, 4, 2e-3)
    """E^G from the generator's own feature maps."""
    encoder_scans: Phase = Phase(300, 4, 1e-3)
    """E^G from E^H's feature maps of deformed scans."""
    feature_scans: int = 48
    """How many deformed scans that phase has."""
    adversarial: int = 10
    """Iterations of the paper's training at the end."""


class Scans:
    """Prepared scans in [0, 1] on the network's grid, and their copies at half and lower resolution."""

    def __init__(self, whole: Sequence[Tensor], stripped: Sequence[Tensor], box_mm: tuple[float, float, float]) -> None:
        """`whole` heads and skull-`stripped` ones: (S, S, S) uint8 each."""
        self.whole, self.stripped, self.box_mm = len(whole), len(stripped), box_mm
        self.size = whole[0].shape[0]
        self._levels: dict[int, list[Tensor]] = {1: [scan[None] for scan in (*whole, *stripped)]}

    def level(self, factor: int) -> list[Tensor]:
        """(1, S/f, S/f, S/f) float32 each, by averaging."""
        if factor not in self._levels:
            scans = [F.avg_pool3d(scan.float() / 255, factor) for scan in self._levels[1]]
            self._levels[factor] = scans
        return self._levels[factor]

    def of(self, z: Tensor, edge: int) -> Tensor:
        """What z describes, (1, edge, edge, edge) in [-1, 1], read from scans of twice that resolution."""
        scan = self.level(self.size // edge // 2)[self._index(z)]
        return deform(scan, deformation_of(z), (edge, edge, edge), self.box_mm)

    def slab_of(self, z: Tensor, start: int, slices: int) -> Tensor:
        """Some slices of what z describes at full resolution: (1, slices, S, S) in [-1, 1]."""
        scan = self._levels[1][self._index(z)].float() / 255
        return deform(scan, deformation_of(z), (self.size,) * 3, self.box_mm, start, slices)

    def _index(self, z: Tensor) -> int:
        is_stripped, index = subject_of(z, self.whole, self.stripped)
        return index + self.whole * is_stripped


class StageHead(nn.Module):
    """Reads a volume from the feature maps of a stage that is not the last one; thrown away afterwards."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, hidden, 3, padding=1)
        self.norm1 = NormReLU(hidden)
        self.conv2 = nn.Conv3d(hidden, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, e, e, e) -> (n, 1, e, e, e) in [-1, 1]."""
        return torch.tanh_(self.conv2(self.norm1(self.conv1(features))))


def reconstruction_loss(made: Tensor, real: Tensor) -> Tensor:
    """Squared error of the volume and of its forward differences along the three axes, and a little L1.

    Squares first: where a structure is still uncertain, their optimum is its mean and it shows faintly, while L1 and
    absolute differences have the median as optimum and leave it out until more than half of its contrast is certain.
    """
    edges = torch.stack([F.mse_loss(made.diff(dim=k), real.diff(dim=k)) for k in (2, 3, 4)]).sum()
    return 4 * F.mse_loss(made, real) + 4 * edges + 0.3 * F.l1_loss(made, real)


def optimise(name: str, phase: Phase, parameters: Sequence[nn.Parameter], loss_of: Callable[[], Tensor],
             tell: Tell) -> Iterator[int]:  # fmt: skip
    """Descend; yields the step after each update, so that the caller can average.

    Convolutions with several outputs go by orthogonalised momentum at ten times the rate, everything else by Adam.
    """
    kernels = [p for p in parameters if p.ndim == 5 and p.shape[0] > 1]
    others = [p for p in parameters if p.ndim != 5 or p.shape[0] == 1]
    optimisers: list[tuple[torch.optim.Optimizer, float]] = [
        (OrthogonalDescent(kernels, lr=phase.rate), 10.0),
        (torch.optim.Adam(others, lr=phase.rate, betas=(0.9, 0.99)), 1.0),
    ]
    for step in range(phase.steps):
        loss = loss_of()
        for optimiser, factor in optimisers:
            optimiser.zero_grad(set_to_none=True)
            optimiser.param_groups[0]["lr"] = factor * phase.rate_at(step)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, _ in optimisers:
            optimiser.step()
        tell(name, step + 1, phase.steps, loss.item())
        yield step


def slab_as_inferred(generator: HAGANGenerator, features: Tensor, start: int, slices: int) -> Tensor:
    """Slices [start, start + slices), multiples of four, of the volume that inference makes from A.

    Unlike `sub_volume`, GroupNorm has the statistics of the whole volume (held still in the backward pass) and nothing
    is padded at the slab's faces.

    Returns:
        (n, 1, slices, S, S) in [-1, 1].
    """
    conv1, norm, conv2 = generator.high.conv1, generator.high.norm1, generator.high.conv2
    with torch.no_grad():
        whole = conv1(features).reshape(len(features), norm.num_groups, -1)
        variance, mean = torch.var_mean(whole, dim=2, correction=0)
        per_group = norm.num_channels // norm.num_groups
        spread = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1)
        mean = mean.repeat_interleave(per_group, dim=1)
    gain = norm.weight * spread
    shift = norm.bias - mean * gain
    first, last = start // 4, (start + slices) // 4
    below = max(0, first - 2)  # two slices of A beyond each face: what the convolutions there see
    x = conv1(features[:, :, below : last + 2])
    x = F.relu_(x * gain[..., None, None, None] + shift[..., None, None, None])
    volume = torch.tanh(conv2(x))
    return volume[:, :, 4 * (first - below) :][:, :, :slices]


class WarmStart:
    """The four phases over one generator and one encoder."""

    def __init__(self, generator: HAGANGenerator, encoder: HAGANEncoder, scans: Scans, width: int, seed: int,
                 tell: Tell) -> None:  # fmt: skip
        self.generator, self.encoder, self.scans, self.width, self.tell = generator, encoder, scans, width, tell
        self.source = torch.Generator().manual_seed(seed)
        for network in (generator, encoder):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def draw(self, count: int) -> Tensor:
        """(n, 48): two thirds of the batches from N(0, I), the rest wider, so that the edges of the space are seen."""
        wide = float(torch.rand(1, generator=self.source)) < 0.4
        return draw(count, self.source, STRIPPED_SHARE, 1.2 if wide else 1.0)

    def fit_low(self, last: int, phase: Phase) -> None:
        """G^A up to convolution `last` (3, 4, 5 for S/16, S/8, S/4), and at S/4 G^L, there with averaged weights."""
        channels = {3: 8, 4: 4}.get(last, 0) * self.width
        head = self.generator.low if last == 5 else StageHead(channels, channels // 4)
        edge = self.scans.size // 4 >> (5 - last)

        def loss() -> Tensor:
            z = self.draw(phase.batch_size)
            real = torch.stack([self.scans.of(row, edge) for row in z])
            return reconstruction_loss(head(self.generator.common(z, last=last)), real)

        networks = nn.ModuleList([self.generator.common, head])
        average = ParameterAverage(networks, 0.99)
        for _ in optimise(f"low {edge}", phase, list(networks.parameters()), loss, self.tell):
            if last == 5:
                average.update()
        if last == 5:
            average.apply(networks)

    def fit_high(self, phase: Phase, joint: bool) -> None:
        """G^H on sub-volumes of the full volume; `joint` with G^L and G^A's last two convolutions.

        The rest of G^A is left alone: at this batch size it would lose what the low resolutions taught it.
        """
        common = self.generator.common
        parts: list[nn.Module] = [self.generator.high]
        if joint:
            parts += [
                self.generator.low,
                *(common.get_submodule(f"{kind}{k}") for k in (4, 5) for kind in ("conv", "norm")),
            ]
        networks = nn.ModuleList(parts)
        self.generator.requires_grad_(False)
        networks.requires_grad_(True)
        slices = self.scans.size // NUM_SLABS

        def loss() -> Tensor:
            z = self.draw(phase.batch_size)
            start = self._start()
            with torch.set_grad_enabled(joint):
                features = common(z)
            made = slab_as_inferred(self.generator, features, start, slices)
            real = torch.stack([self.scans.slab_of(row, start, slices) for row in z])
            if not joint:
                return reconstruction_loss(made, real)
            low = torch.stack([self.scans.of(row, self.scans.size // 4) for row in z])
            return reconstruction_loss(made, real) + reconstruction_loss(self.generator.low(features), low)

        for _ in optimise("joint" if joint else "high", phase, list(networks.parameters()), loss, self.tell):
            pass
        self.generator.requires_grad_(True)

    def fit_encoder_high(self, phase: Phase) -> None:
        """E^H: eq. 6 of the paper, and the generator's own feature maps as the target."""
        self.generator.requires_grad_(False)
        slices = self.scans.size // NUM_SLABS

        def loss() -> Tensor:
            z = self.draw(phase.batch_size)
            start = self._start()
            real = torch.stack([self.scans.slab_of(row, start, slices) for row in z])
            found = self.encoder.high(real)
            wanted = select_features(self.generator.common(z), start, self.scans.size)
            return F.l1_loss(self.generator.high(found), real) + 0.3 * F.l1_loss(found, wanted)

        for _ in optimise("encoder high", phase, list(self.encoder.high.parameters()), loss, self.tell):
            pass

    def fit_encoder_ground(self, generated: Phase, scanned: Phase, feature_scans: int) -> None:
        """E^G: z from the generator's feature maps, then from E^H's feature maps of deformed scans."""
        self.generator.requires_grad_(False)
        parameters = list(self.encoder.ground.parameters())

        def from_generator(count: int) -> tuple[Tensor, Tensor]:
            z = self.draw(count)
            features = self.generator.common(z)
            noise = torch.randn(features.shape, generator=self.source) * 0.1
            return features + noise, z

        def loss_generated() -> Tensor:
            features, z = from_generator(generated.batch_size)
            return F.smooth_l1_loss(self.encoder.ground(features), z)

        for _ in optimise("encoder ground", generated, parameters, loss_generated, self.tell):
            pass
        seen = self._features_of_scans(feature_scans)

        def loss_scanned() -> Tensor:
            features, z = from_generator(1)
            chosen = torch.randint(len(seen), (scanned.batch_size - 1,), generator=self.source).tolist()
            features = torch.cat([features, *(seen[k][0][None].float() for k in chosen)])
            z = torch.cat([z, *(seen[k][1][None] for k in chosen)])
            return F.smooth_l1_loss(self.encoder.ground(features), z)

        for _ in optimise("encoder scans", scanned, parameters, loss_scanned, self.tell):
            pass

    @torch.no_grad()
    def _features_of_scans(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """A-hat in float16 and z for `count` deformed scans; too large to make anew in every step."""
        made = []
        slices = self.scans.size // NUM_SLABS
        for index in range(count):
            z = self.draw(1)[0]
            starts = range(0, self.scans.size, slices)
            slabs = [self.encoder.high(self.scans.slab_of(z, start, slices)[None]) for start in starts]
            made.append((torch.cat(slabs, dim=2)[0].half(), z))
            self.tell("scans for the encoder", index + 1, count, 0.0)
        return made

    def _start(self) -> int:
        """r: a sub-volume's first slice, on a slice of A."""
        last = self.scans.size // 4 * 7 // NUM_SLABS
        return 4 * int(torch.randint(last + 1, (1,), generator=self.source))


def each_once(phases: Mapping[str, Callable[[], None]], out: Path, networks: nn.Module,
              source: torch.Generator) -> None:  # fmt: skip
    """Phase after phase. Of one whose end `out` already holds, networks and randomness are taken up instead."""
    for name, fit in phases.items():
        saved = out / f"{name}.pt"
        if saved.exists():
            state = torch.load(saved, weights_only=True)
            networks.load_state_dict(state["networks"])
            source.set_state(state["source"])
            continue
        fit()
        save(saved, {"networks": networks.state_dict(), "source": source.get_state()})


def lines(every: int) -> Tell:
    """Progress on standard error, each `every` steps and at a phase's end: the mean loss since the last line."""
    losses: list[float] = []

    def tell(phase: str, step: int, steps: int, loss: float) -> None:
        losses.append(loss)
        if step % every == 0 or step == steps:
            stamp = time.strftime("%H:%M:%S")
            sys.stderr.write(f"{stamp} {phase}: {step}/{steps} loss {sum(losses) / len(losses):.4f}\n")
            losses.clear()

    return tell


def new_networks(size: int, width: int, seed: int) -> tuple[HAGANGenerator, HAGANEncoder]:
    """Randomly initialised networks of the anatomical latent's length."""
    torch.manual_seed(seed)
    return HAGANGenerator(size, width, LATENT_DIM), HAGANEncoder(size, width, LATENT_DIM)
