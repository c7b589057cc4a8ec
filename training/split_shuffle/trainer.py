"""Training of Split&Shuffle-GAN (Liu et al. 2022): StyleGAN2's steps on volumes, or before them on slices."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import Dataset

from model_store.networks.split_shuffle import SplitShuffleGenerator
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.networks.split_shuffle_layers import Architecture
from training.engine.average import ParameterAverage
from training.engine.course import Progress, begin, check_folders, fit, resume
from training.engine.data import Batches, Scans, TrainingVolumes, batches, light_augmentation, prepare_folder
from training.engine.export import export
from training.split_shuffle.card import MEAN_OVER, card_of, preparation_of
from training.split_shuffle.config import SplitShuffleConfig
from training.split_shuffle.inflation import Inflation, inflate
from training.split_shuffle.logistic import discriminator_loss, generator_loss, path_lengths, r1_penalty
from training.split_shuffle.slices import TrainingSlices

BETAS = (0.0, 0.99)
FLAT_CHECKPOINT = "checkpoint-2d.pt"
PATH_MEMORY = 0.01
"""How fast the mean path length follows."""
RAMP = 0.05
"""At the start the average forgets half over this share of the images seen so far."""


class SplitShuffleTrainer:
    """Networks and optimisers of one architecture, 2D or 3D; `step` is one iteration."""

    def __init__(self, config: SplitShuffleConfig, architecture: Architecture, rate: float) -> None:
        self.config, self.architecture, self.iteration = config, architecture, 0
        torch.manual_seed(config.seed)
        self.generator = SplitShuffleGenerator(architecture, config.z_dim, config.w_dim)
        self.critic = SplitShuffleDiscriminator(architecture)
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic}).to(config.device)
        self.average = ParameterAverage(self.generator, 0.0)
        self.optimisers = {
            "generator": _adam(self.generator, rate, config.path_length_every if config.path_length_weight else 0),
            "critic": _adam(self.critic, rate, config.r1_every if config.r1_weight else 0),
        }
        self.mean_length = torch.zeros((), device=config.device)
        self._penalties: dict[str, Tensor] = {}

    def step(self, real: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 -- the family has no classes
        """One iteration on real images (n, 1, *shape); returns the losses, of the lazy penalties the latest."""
        config, source = self.config, self._source(self.iteration)
        real = real.to(config.device)
        if self.architecture.dims == 3:
            real = real.contiguous(memory_format=torch.channels_last_3d)
        losses = {"generator": self._update("generator", lambda: self._generator_loss(len(real), source))}
        if config.path_length_weight and self.iteration % config.path_length_every == 0:
            self._penalties["path_length"] = self._update("generator", lambda: self._path_penalty(len(real), source))
        losses["critic"] = self._update("critic", lambda: self._critic_loss(real, source))
        if config.r1_weight and self.iteration % config.r1_every == 0:
            weight = config.r1_weight * config.r1_every
            self._penalties["r1"] = self._update("critic", lambda: weight * r1_penalty(self.critic, real))
        seen = max((self.iteration + 1) * len(real), 1)
        self.average.beta = 0.5 ** (len(real) / min(config.average_images, RAMP * seen))
        self.average.update()
        self.iteration += 1
        return losses | self._penalties

    def _source(self, iteration: int) -> torch.Generator:
        """All randomness of one iteration."""
        return torch.Generator(self.config.device).manual_seed(self.config.seed * 1_000_003 + iteration)

    def _draw(self, count: int, source: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.z_dim, generator=source, device=self.config.device)

    def _make(self, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images (n, 1, *shape) and their styles, in most batches of two latents each (style mixing)."""
        w, other = self.generator.styles(self._draw(2 * count, source)).chunk(2)
        chance, place = torch.rand(2, generator=source, device=self.config.device).tolist()
        if chance < self.config.mixing:
            crossover = 1 + int(place * (w.shape[1] - 1))
            w = torch.cat([w[:, :crossover], other[:, crossover:]], dim=1)
        return self.generator.synthesis(w, self.generator.synthesis.draw_noise(count, source)), w

    def _generator_loss(self, count: int, source: torch.Generator) -> Tensor:
        return generator_loss(self.critic(self._make(count, source)[0]))

    def _path_penalty(self, count: int, source: torch.Generator) -> Tensor:
        """On half a batch, as often as its weight makes up for."""
        image, w = self._make((count + 1) // 2, source)
        direction = torch.randn(image.shape, generator=source, device=image.device)
        lengths = path_lengths(image, w, direction)
        self.mean_length = self.mean_length.lerp(lengths.detach().mean(), PATH_MEMORY)
        penalty = (lengths - self.mean_length).square().mean()
        return penalty * self.config.path_length_weight * self.config.path_length_every

    def _critic_loss(self, real: Tensor, source: torch.Generator) -> Tensor:
        with torch.no_grad():
            made = self._make(len(real), source)[0]
        return discriminator_loss(self.critic(real), self.critic(made))

    def _update(self, name: str, loss_of: Callable[[], Tensor]) -> Tensor:
        """Minimise over one network, the other held still."""
        for key, network in self.networks.items():
            network.requires_grad_(key == name)
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    def averaged(self) -> SplitShuffleGenerator:
        """A copy of the generator with the averaged weights and the mean of w."""
        made = copy.deepcopy(self.generator)
        self.average.apply(made)
        with torch.no_grad():
            w: Tensor = made.mapping(self._draw(MEAN_OVER, self._source(0)))
            made.mapping.mean_style.copy_(w.mean(0))
        return made

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape), nominally in [-1, 1], of the averaged generator, for looking at."""
        made, source = self.averaged(), self._source(0)
        w = made.styles(self._draw(count, source))
        image: Tensor = made.synthesis(w, made.synthesis.draw_noise(count, source))
        return image

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on, and the averaged weights."""
        return {
            "iteration": self.iteration,
            "networks": self.networks.state_dict(),
            "average": self.average.state(),
            "mean_length": self.mean_length,
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.iteration, self.mean_length = state["iteration"], state["mean_length"]
        self.networks.load_state_dict(state["networks"])
        self.average.restore(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])

    def inflate_from(self, flat: "SplitShuffleTrainer", strategy: Inflation) -> None:
        """Start from a 2D run's averaged generator and its discriminator (table II: both is best)."""
        source = torch.Generator().manual_seed(self.config.seed)
        self.generator.load_state_dict(inflate(flat.average.state(), self.architecture, strategy, source))
        self.critic.load_state_dict(inflate(flat.critic.state_dict(), self.architecture, strategy, source))
        self.average = ParameterAverage(self.generator, 0.0)


def _adam(network: nn.Module, rate: float, every: int) -> Adam:
    """Adam, slowed by as much as the penalty of every `every`-th iteration adds steps; 0: no penalty."""
    share = every / (every + 1) if every else 1.0
    return Adam(network.parameters(), lr=rate * share, betas=(BETAS[0] ** share, BETAS[1] ** share), eps=1e-8)


def train(config: SplitShuffleConfig, progress: Progress | None = None) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the exported model's folder.

    Raises:
        DataRefused: the data folder cannot be trained on, or the run does not fit what lies in its folder.
    """
    check_folders(config)
    trainer, checkpoint = SplitShuffleTrainer(config, config.architecture, config.rate), config.out / "checkpoint.pt"
    is_new = not resume(trainer, checkpoint, config.device)
    flat = flat_trainer(config) if is_new and config.pretrain_2d else None
    scans = prepare_folder(config.data, config.cache, preparation_of(config))
    begin(config)
    if flat is not None:
        pretrain(flat, scans, progress)
        trainer.inflate_from(flat, config.inflation)
    augmentation = light_augmentation(config.shape) if config.augment == "light" else None
    volumes = _batches_of(TrainingVolumes(scans, config.seed, augmentation), config)
    fit(trainer, volumes, config, checkpoint, config.log, config.iterations, progress)
    made, folder = trainer.averaged(), config.out / config.name
    networks = {"mapping": made.mapping, "synthesis": made.synthesis, "critic": trainer.critic}
    export(folder, card_of(config, trainer.iteration, len(scans.paths)), networks)
    return folder


def flat_trainer(config: SplitShuffleConfig) -> SplitShuffleTrainer:
    """The 2D networks, at their last checkpoint or at the start."""
    trainer = SplitShuffleTrainer(config, config.architecture.flat(), config.learning_rate_2d)
    resume(trainer, config.out / FLAT_CHECKPOINT, config.device)
    return trainer


def pretrain(trainer: SplitShuffleTrainer, scans: Scans, progress: Progress | None = None) -> None:
    """Train the 2D networks on all slices across A0."""
    config = trainer.config
    slices = _batches_of(TrainingSlices(scans, config.shape[0], config.seed), config)
    checkpoint, log = config.out / FLAT_CHECKPOINT, config.out / ".tensorboard-2d"
    fit(trainer, slices, config, checkpoint, log, config.pretrain_2d, progress)


def _batches_of(data: Dataset[tuple[Tensor, int]], config: SplitShuffleConfig) -> Batches:
    def of_iterations(first: int, last: int) -> Iterator[list[Tensor]]:
        return batches(data, config.batch_size, first, last, config.data_workers)

    return of_iterations
