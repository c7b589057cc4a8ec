"""Training of Split&Shuffle-GAN (Liu et al. 2022): StyleGAN2's steps on volumes, or before them on slices."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from model_store.card import ModelCard
from model_store.networks.split_shuffle import SplitShuffleGenerator
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.sizes.split_shuffle import Architecture
from training.engine.average import ParameterAverage
from training.engine.course import fit, resume
from training.engine.data import Scans, batches
from training.engine.export import tensors_of
from training.engine.family import Family
from training.engine.precision import exact
from training.engine.report import Progress, Told
from training.engine.trainer import Trainer
from training.split_shuffle.card import MEAN_OVER, card_of, preparation_of
from training.split_shuffle.config import Inflation, SplitShuffleConfig
from training.split_shuffle.inflation import inflate
from training.split_shuffle.logistic import discriminator_loss, generator_loss, path_lengths, r1_penalty
from training.split_shuffle.slices import TrainingSlices
from volumes.scan import Preparation

BETAS = (0.0, 0.99)
FLAT_CHECKPOINT = "checkpoint-2d.pt"
PATH_MEMORY = 0.01
"""How fast the mean path length follows."""
RAMP = 0.05
"""At the start the average forgets half over this share of the images seen so far."""


@dataclass(frozen=True)
class Drawn:
    """What images are generated from: two latents each, z (2, n, z_dim), the first of which gives the styles before
    `crossover`, or all of them where that is None, and maps of noise (n, 1, *edges)."""

    z: Tensor
    crossover: int | None
    noise: list[Tensor]

    def part(self, which: slice) -> "Drawn":
        """Some of the samples."""
        return Drawn(self.z[:, which], self.crossover, [noise[which] for noise in self.noise])


class SplitShuffleTrainer(Trainer[SplitShuffleConfig]):
    """Generator, its average, and discriminator of one architecture, 2D or 3D."""

    average: ParameterAverage

    def __init__(self, config: SplitShuffleConfig, architecture: Architecture, rate: float) -> None:
        super().__init__(config, draws_on=config.device)
        self.architecture = architecture
        self.flat: SplitShuffleTrainer | None = None
        self.generator = SplitShuffleGenerator(architecture, config.z_dim, config.w_dim)
        self.critic = SplitShuffleDiscriminator(architecture)
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic}).to(config.device)
        self.average = ParameterAverage(self.generator, 0.0)
        self.optimisers = {
            "generator": _adam(self.generator, rate, config.path_length_every if config.path_length_weight else 0),
            "critic": _adam(self.critic, rate, config.r1_every if config.r1_weight else 0),
        }
        penalties = (config.r1_weight, config.r1_every), (config.path_length_weight, config.path_length_every)
        self.cycle = max([1, *(every for weight, every in penalties if weight)])
        self.mean_length = torch.zeros((), device=config.device)
        self._penalties: dict[str, Tensor] = {}

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:  # noqa: ARG002 -- there are no classes
        """One iteration on real images (n, 1, *shape); returns the losses, of the lazy penalties the latest."""
        config, source = self.config, self.source(self.iteration)
        real = real.to(config.device)
        if self.architecture.dims == 3:
            real = real.contiguous(memory_format=torch.channels_last_3d)
        losses = {"generator": self._update_generator(len(real), source)}
        if config.path_length_weight and self.iteration % config.path_length_every == 0:
            self._penalties["path_length"] = self._penalise_path_lengths((len(real) + 1) // 2, source)
        losses["critic"] = self._update_critic(real, source)
        if config.r1_weight and self.iteration % config.r1_every == 0:
            weight = config.r1_weight * config.r1_every
            self._penalties["r1"] = self.update(
                "critic", lambda part: weight * r1_penalty(self.critic, real[part]), len(real)
            )
        seen = max((self.iteration + 1) * len(real), 1)
        self.average.beta = 0.5 ** (len(real) / min(config.average_images, RAMP * seen))
        self.average.update()
        self.iteration += 1
        return losses | self._penalties

    def _drawn(self, count: int, source: torch.Generator) -> Drawn:
        """Most batches are of two latents a sample (style mixing)."""
        synthesis = self.generator.synthesis
        z = self.draw(source, 2 * count, self.config.z_dim).view(2, count, -1)
        chance, place = torch.rand(2, generator=source, device=self.config.device).tolist()
        crossover = 1 + int(place * (synthesis.num_styles - 1)) if chance < self.config.mixing else None
        return Drawn(z, crossover, list(synthesis.draw_noise(count, source)))

    def _make(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Images (n, 1, *shape) and their styles."""
        w, other = self.generator.styles(drawn.z.flatten(0, 1)).chunk(2)
        if drawn.crossover is not None:
            w = torch.cat([w[:, : drawn.crossover], other[:, drawn.crossover :]], dim=1)
        return self.generator.synthesis(w, iter(drawn.noise)), w

    def _update_generator(self, count: int, source: torch.Generator) -> Tensor:
        drawn = self._drawn(count, source)
        return self.update(
            "generator", lambda part: generator_loss(self.critic(self._make(drawn.part(part))[0])), count
        )

    def _penalise_path_lengths(self, count: int, source: torch.Generator) -> Tensor:
        """On half a batch, as often as its weight makes up for. A part of it is held to its own mean length."""
        drawn, before = self._drawn(count, source), self.mean_length
        direction = torch.randn(count, 1, *self.architecture.shape, generator=source, device=before.device)
        found: list[Tensor] = []

        def loss(part: slice) -> Tensor:
            with exact(before):
                lengths = path_lengths(*self._make(drawn.part(part)), direction[part])
            found.append(lengths.detach())
            penalty = (lengths - before.lerp(found[-1].mean(), PATH_MEMORY)).square().mean()
            return penalty * self.config.path_length_weight * self.config.path_length_every

        penalty = self.update("generator", loss, count)
        self.mean_length = before.lerp(torch.cat(found).mean(), PATH_MEMORY)
        return penalty

    def _update_critic(self, real: Tensor, source: torch.Generator) -> Tensor:
        drawn = self._drawn(len(real), source)

        def loss(part: slice) -> Tensor:
            with torch.no_grad():
                made = self._make(drawn.part(part))[0]
            return discriminator_loss(self.critic(real[part]), self.critic(made))

        return self.update("critic", loss, len(real))

    def averaged(self) -> SplitShuffleGenerator:
        """A copy of the generator with the averaged weights and the mean of w."""
        made = copy.deepcopy(self.generator)
        self.average.apply(made)
        with torch.no_grad():
            w: Tensor = made.mapping(self.draw(self.source(0), MEAN_OVER, self.config.z_dim))
            made.mapping.mean_style.copy_(w.mean(0))
        return made

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape), nominally in [-1, 1], of the averaged generator, for looking at."""
        made, source = self.averaged(), self.source(0)
        w = made.styles(self.draw(source, count, self.config.z_dim))
        image: Tensor = made.synthesis(w, made.synthesis.draw_noise(count, source))
        return image

    def state(self) -> dict[str, Any]:
        return super().state() | {"mean_length": self.mean_length}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.mean_length = state["mean_length"]

    def inflate_from(self, flat: "SplitShuffleTrainer", strategy: Inflation) -> None:
        """Start from a 2D run's averaged generator and its discriminator (table II: both is best)."""
        source = torch.Generator().manual_seed(self.config.seed)
        self.generator.load_state_dict(inflate(flat.average.state(), self.architecture, strategy, source))
        self.critic.load_state_dict(inflate(flat.critic.state_dict(), self.architecture, strategy, source))
        self.average = ParameterAverage(self.generator, 0.0)


def _adam(network: nn.Module, rate: float, every: int) -> Adam:
    """Adam, slowed by as much as the penalty of every `every`-th iteration adds steps; 0: no penalty."""
    share = every / (every + 1) if every else 1.0
    return Adam(
        network.parameters(), lr=rate * share, betas=(BETAS[0] ** share, BETAS[1] ** share), eps=1e-8, fused=True
    )


class SplitShuffleFamily(Family[SplitShuffleConfig, SplitShuffleTrainer]):
    """What is exported are the averaged generator and the discriminator; a run may begin with one on slices."""

    def trainer(self, config: SplitShuffleConfig) -> SplitShuffleTrainer:
        return SplitShuffleTrainer(config, config.architecture, config.rate)

    def start(self, trainer: SplitShuffleTrainer) -> None:
        """The 2D networks, at their last checkpoint or at the start."""
        config = trainer.config
        if config.pretrain_2d:
            trainer.flat = SplitShuffleTrainer(config, config.architecture.flat(), config.learning_rate_2d)
            resume(trainer.flat, config.out / FLAT_CHECKPOINT, config.device)

    def preparation(self, trainer: SplitShuffleTrainer) -> Preparation:
        return preparation_of(trainer.config)

    def warm_up(self, trainer: SplitShuffleTrainer, scans: Scans, progress: Progress | None, told: Told | None) -> None:
        """Train the 2D networks on all slices across A0 and inflate them."""
        config, flat = trainer.config, trainer.flat
        if flat is None:
            return
        slices = TrainingSlices(scans, config.shape[0], config.seed)

        def of_iterations(first: int, last: int) -> Iterator[list[Tensor]]:
            return batches(slices, config.effective_batch, first, last, config.data_workers)

        checkpoint, log = config.out / FLAT_CHECKPOINT, config.out / ".tensorboard-2d"
        fit(flat, of_iterations, checkpoint, log, config.pretrain_2d, progress, told)
        trainer.inflate_from(flat, config.inflation)
        trainer.flat = None

    def card(self, trainer: SplitShuffleTrainer, scans: int) -> ModelCard:
        return card_of(trainer.config, trainer.iteration, scans)

    def tensors(self, trainer: SplitShuffleTrainer) -> dict[str, Tensor]:
        made = trainer.averaged()
        return tensors_of({"mapping": made.mapping, "synthesis": made.synthesis, "critic": trainer.critic})


FAMILY = SplitShuffleFamily()
