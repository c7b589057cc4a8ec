"""Supervised start of the shipped style model, for machines where adversarial training from scratch is out of reach.

Not part of the paper (docs/decisions/0022). Pairs of a latent and a deformed scan (style_anatomy.py) teach mapping and
synthesis stage by stage, as progressive growing does, half of them mixed: the geometry of one latent through the
styles before `CROSSOVER`, the appearance of another through those after it. The encoder learns w of deformed scans.

Several processes share each batch: on few and busy cores they get further than threads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.equalised import SLOPE, EqualisedLinear
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.stylegan import MappingNetwork, SynthesisNetwork
from training.demo.style_anatomy import Heads, draw, mixed
from training.demo.warm_start import Phase, Share, reconstruction_loss
from training.engine.average import ParameterAverage
from training.engine.checkpoint import save
from training.engine.orthogonal import OrthogonalDescent
from training.progressive.networks import set_mean_style

CROSSOVER = 5
"""Styles before it carry geometry, the others appearance."""
Tell = Callable[[str, int, int, float], None]
"""Progress: phase, step, steps, loss."""
Optimisers = list[tuple[torch.optim.Optimizer, float]]
"""Each with the factor of the phase's rate that it steps at."""


@dataclass(frozen=True)
class Stretch:
    """One stretch of optimisation at one stage."""

    name: str
    stage: int
    phase: Phase


def optimisers_of(networks: nn.Module, rate: float) -> Optimisers:
    """Orthogonalised momentum at ten times the rate for convolutions of several outputs, Adam at five for the rest.

    With equalised learning rates a stored weight is sqrt(fan in) times what convolves, and so is its step.
    """
    kernels = [p for p in networks.parameters() if p.ndim == 5 and p.shape[0] > 1]
    others = [p for p in networks.parameters() if p.ndim != 5 or p.shape[0] == 1]
    by_width: Optimisers = []
    for fan_in in sorted({p[0].numel() for p in kernels}):
        alike = [p for p in kernels if p[0].numel() == fan_in]
        by_width.append((OrthogonalDescent(alike, lr=rate), 10.0 * fan_in**0.5))
    return [*by_width, (torch.optim.Adam(others, lr=rate, betas=(0.9, 0.99)), 5.0)]


class StyleStart:
    """The phases over one mapping, one synthesis and one encoder."""

    def __init__(self, networks: nn.ModuleDict, heads: Heads, seed: int, share: Share, tell: Tell) -> None:
        self.networks, self.heads, self.seed, self.share, self.tell = networks, heads, seed, share, tell
        for parameter in networks.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    @property
    def mapping(self) -> MappingNetwork:
        return self.networks["mapping"]  # type: ignore[return-value]

    @property
    def synthesis(self) -> SynthesisNetwork:
        return self.networks["synthesis"]  # type: ignore[return-value]

    @property
    def encoder(self) -> ReversedEncoder:
        return self.networks["encoder"]  # type: ignore[return-value]

    def fit_stage(self, stretch: Stretch, checkpoint: Path) -> None:
        """Mapping and synthesis at one stage, ending with averaged weights."""
        stage, phase = stretch.stage, stretch.phase
        edge = self.heads.size >> (self.synthesis.num_stages - stage)

        def loss(source: torch.Generator) -> Tensor:
            wide = float(torch.rand(1, generator=source)) < 0.4
            z = draw(2 * phase.batch_size, source, 1.2 if wide else 1.0).view(phase.batch_size, 2, -1)
            alike = torch.rand(phase.batch_size, generator=source) < (0.5 if 3 * stage > CROSSOVER else 1.0)
            z[alike, 1] = z[alike, 0]
            real = torch.stack([self.heads.of(mixed(first, second), edge) for first, second in z])
            made = self.synthesis(self.styles(z), stage=stage)
            return reconstruction_loss(2 * made, 2 * real)

        parts = nn.ModuleDict({"mapping": self.mapping, "synthesis": self.synthesis})
        self._fit(stretch.name, phase, parts, loss, checkpoint)

    def styles(self, z: Tensor) -> Tensor:
        """(n, 2, 31) -> (n, num_styles, w_dim): the first latent up to the crossover, the second after it."""
        w = self.mapping(z.flatten(0, 1)).view(len(z), 2, -1)
        after = self.synthesis.num_styles - CROSSOVER
        return torch.cat([w[:, :1].expand(-1, CROSSOVER, -1), w[:, 1:].expand(-1, after, -1)], dim=1)

    def fit_encoder(self, phase: Phase, checkpoint: Path) -> None:
        """The encoder: w of deformed scans and, every other item, of what the generator makes of the same latent."""
        self.mapping.requires_grad_(False)
        self.synthesis.requires_grad_(False)
        self._encode_the_mean()

        def loss(source: torch.Generator) -> Tensor:
            z = draw(phase.batch_size, source)
            volumes = torch.stack([self.heads.of(row, self.heads.size) for row in z])
            w = self.mapping(z)
            if float(torch.rand(1, generator=source)) < 0.25:
                with torch.no_grad():
                    volumes = self.synthesis(w[:, None].expand(-1, self.synthesis.num_styles, -1))
            return F.mse_loss(self.encoder(volumes), w)

        self._fit("encoder", phase, self.encoder, loss, checkpoint)
        self.networks.requires_grad_(True)

    @torch.no_grad()
    def _encode_the_mean(self) -> None:
        """Let the encoder begin near the mean of w for every volume, which is a head already."""
        set_mean_style(self.mapping)
        mean = self.mapping.mean_style
        last: EqualisedLinear = self.encoder.dense[-1]  # type: ignore[assignment]
        last.weight.mul_(0.1)
        last.bias.copy_(torch.where(mean > 0, mean, mean / SLOPE))  # before its LReLU

    def _fit(self, name: str, phase: Phase, part: nn.Module, loss_of: Callable[[torch.Generator], Tensor],
             checkpoint: Path) -> None:  # fmt: skip
        """Descend from the last checkpoint of the phase, or from its start; the averaged weights stay."""
        optimisers = optimisers_of(part, phase.rate)
        average = ParameterAverage(part, 0.98)
        first = self._resume(checkpoint, part, optimisers, average)
        parameters = list(part.parameters())
        for step in range(first, phase.steps):
            loss = loss_of(self._source(name, step))
            for optimiser, factor in optimisers:
                optimiser.zero_grad(set_to_none=True)
                optimiser.param_groups[0]["lr"] = factor * phase.rate_at(step)
            loss.backward()  # type: ignore[no-untyped-call]
            self.share.average(parameters)
            for optimiser, _ in optimisers:
                optimiser.step()
            average.update()
            self.tell(name, step + 1, phase.steps, loss.item())
            if (step + 1) % 50 == 0 and self.share.rank == 0:
                self._save(checkpoint, step + 1, part, optimisers, average)
        average.apply(part)

    def _source(self, name: str, step: int) -> torch.Generator:
        """Randomness of one step in this process."""
        place = (sum(name.encode()) * 100_000 + step) * self.share.processes + self.share.rank
        return torch.Generator().manual_seed(self.seed * 1_000_000_007 + place)

    def _save(self, checkpoint: Path, step: int, part: nn.Module, optimisers: Optimisers,
              average: ParameterAverage) -> None:  # fmt: skip
        state = {"step": step, "part": part.state_dict(), "average": average.state()}
        save(checkpoint, state | {"optimisers": [optimiser.state_dict() for optimiser, _ in optimisers]})

    def _resume(self, checkpoint: Path, part: nn.Module, optimisers: Optimisers, average: ParameterAverage) -> int:
        """The step to go on from."""
        if not checkpoint.exists():
            return 0
        state = torch.load(checkpoint, weights_only=True)
        part.load_state_dict(state["part"])
        average.restore(state["average"])
        for (optimiser, _), saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step: int = state["step"]
        return step
