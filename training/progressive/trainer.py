"""Training of 3D-ProGAN and 3D-StyleGAN as in the bone paper (section 3.4, appendix B).

One iteration is n_c updates of the critic and one of the generator. Stages grow as the schedule says.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

from model_store.card import ModelCard
from model_store.networks.critic import Critic
from model_store.networks.progressive import doubled, faded, halved
from model_store.sizes.progressive import stage_shape
from training.engine.average import ParameterAverage
from training.engine.data import TrainingVolumes
from training.engine.errors import DataRefused
from training.engine.export import tensors_of
from training.engine.family import Family
from training.engine.start import tensors_in
from training.engine.trainer import Trainer
from training.progressive.card import card_of, preparation_of
from training.progressive.config import ProGANConfig, StyleGANConfig
from training.progressive.networks import GrowingProGAN, GrowingStyleGAN
from training.progressive.schedule import Moment
from training.progressive.wgan import Scores, critic_loss, generator_loss
from volumes.scan import Preparation

BETAS = (0.0, 0.98)
GENERATOR_EPSILON, CRITIC_EPSILON = 1e-7, 5e-5
LARGEST_NORM = 2.0
"""Of the generator's gradient."""


@dataclass(frozen=True)
class Drawn:
    """What volumes are generated from: z (n, z_dim), and the maps of noise (n, 1, *edges) that the generator reads."""

    z: Tensor
    noise: list[Tensor]

    def part(self, which: slice) -> "Drawn":
        """Some of the samples."""
        return Drawn(self.z[which], [noise[which] for noise in self.noise])


class ProgressiveTrainer(Trainer[ProGANConfig | StyleGANConfig]):
    """Generator, its average, and critic."""

    average: ParameterAverage

    def __init__(self, config: ProGANConfig | StyleGANConfig) -> None:
        super().__init__(config, draws_on=config.device)
        self.schedule, self.first = config.schedule, 0
        device = torch.device(config.device)
        generator = GrowingStyleGAN(config) if isinstance(config, StyleGANConfig) else GrowingProGAN(config)
        self.generator = generator.to(device)
        self.critic = Critic(config.critic_widths).to(device)
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic})
        for parameter in self.networks.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.average = ParameterAverage(self.generator, config.average)
        rate = config.learning_rate
        self.optimisers = {
            "generator": Adam(self.generator.rates(rate), betas=BETAS, eps=GENERATOR_EPSILON, fused=True),
            "critic": Adam(self.critic.parameters(), lr=rate, betas=BETAS, eps=CRITIC_EPSILON, fused=True),
        }
        self._rates = {name: [g["lr"] for g in opt.param_groups] for name, opt in self.optimisers.items()}

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:  # noqa: ARG002 -- there are no classes
        """One iteration on real volumes (n_c * batch, 1, *shape) in [0, 1], of the stage's resolution or a higher one;
        returns the losses of its last updates."""
        moment, source = self.schedule.at(self.iteration), self.source(self.iteration)
        self._set_rates(moment)
        for part in torch.split(real.to(self.config.device), moment.batch_size):
            losses = self._update_critic(self._at(part, moment), moment, source)
        losses["generator"] = self._update_generator(moment, source)
        self.average.update()
        self.iteration += 1
        return losses

    def alike_until(self) -> int | None:
        return self.schedule.stage_end(self.iteration)

    def _set_rates(self, moment: Moment) -> None:
        for name, optimiser in self.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * moment.decay

    def _at(self, real: Tensor, moment: Moment) -> Tensor:
        """Real volumes at the moment's stage; while it fades in they go from the stage before to it, as in [14]."""
        while tuple(real.shape[2:]) != stage_shape(self.config.base, moment.stage):
            real = halved(real)
        return real if moment.alpha == 1 else faded(doubled(halved(real)), real, moment.alpha)

    def _drawn(self, count: int, moment: Moment, source: torch.Generator) -> Drawn:
        z = self.draw(source, count, self.config.z_dim)
        return Drawn(z, list(self.generator.draw_noise(count, moment.stage, source)))

    def _make(self, drawn: Drawn, moment: Moment) -> Tensor:
        made: Tensor = self.generator(drawn.z, moment.stage, moment.alpha, iter(drawn.noise))
        return made

    def _update_critic(self, real: Tensor, moment: Moment, source: torch.Generator) -> dict[str, Tensor]:
        drawn = self._drawn(len(real), moment, source)
        mix = torch.rand(len(real), generator=source, device=self.config.device)
        distances: list[Tensor] = []

        def loss(part: slice) -> Tensor:
            with torch.no_grad():
                made = self._make(drawn.part(part), moment)
            found, distance = critic_loss(self._scores_at(moment), real[part], made, mix[part])
            distances.append(distance)
            return found

        found = self.update("critic", loss, len(real))
        return {"critic": found, "distance": torch.stack(distances).mean()}

    def _update_generator(self, moment: Moment, source: torch.Generator) -> Tensor:
        drawn = self._drawn(moment.batch_size, moment, source)

        def loss(part: slice) -> Tensor:
            return generator_loss(self._scores_at(moment), self._make(drawn.part(part), moment))

        return self.update("generator", loss, moment.batch_size, LARGEST_NORM)

    def _scores_at(self, moment: Moment) -> Scores:
        return lambda volume: self.critic(volume, moment.stage, moment.alpha)

    def averaged(self) -> GrowingProGAN | GrowingStyleGAN:
        """A copy of the generator with the averaged weights, ready to export."""
        made = copy.deepcopy(self.generator)
        self.average.apply(made)
        made.finish()
        return made

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 1, *stage shape) in [-1, 1] at the stage that is being trained, for looking at."""
        moment = self.schedule.at(max(self.iteration - 1, 0))
        source = torch.Generator(self.config.device).manual_seed(0)
        z = self.draw(source, count, self.config.z_dim)
        network = self.averaged()
        made: Tensor = network(z, moment.stage, moment.alpha, network.draw_noise(count, moment.stage, source))
        return made * 2 - 1

    def state(self) -> dict[str, Any]:
        return super().state() | {"first": self.first}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        # An older checkpoint does not say it, nor does it need to be told which model it was.
        self.first = state.get("first", self.schedule.last_stage if self.config.start_from else 0)

    def start_from(self, folder: Path) -> None:
        """Take generator and critic (where it has one) from a model folder, and go to the last stage, faded in.

        Raises:
            DataRefused: it is no model, or its networks are not of this run's sizes.
        """
        tensors = tensors_in(folder, self.config.device)
        parts: list[tuple[nn.Module, dict[str, Tensor]]] = [
            (self.generator, {k: v for k, v in tensors.items() if not k.startswith(("critic.", "encoder."))}),
            (self.critic, {k.removeprefix("critic."): v for k, v in tensors.items() if k.startswith("critic.")}),
        ]
        for network, found in parts:
            own = {key: tensor.shape for key, tensor in network.state_dict().items()}
            if found and {key: tensor.shape for key, tensor in found.items()} != own:
                raise DataRefused("the model to start from is of another family or of other sizes")
            network.load_state_dict(found or network.state_dict())
        self.average = ParameterAverage(self.generator, self.config.average)
        self.iteration = self.first = self.schedule.last_stage


class StagedVolumes(Dataset[tuple[Tensor, int]]):
    """Training volumes at the resolution of a stage: the first ones take many at once, which would fill the memory.

    Item (i, k) is the i-th volume halved k times.
    """

    def __init__(self, volumes: TrainingVolumes) -> None:
        self.volumes = volumes

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int]:
        """((1, *stage shape) float32 in the network's range, label or -1)."""
        place, halvings = item
        volume, label = self.volumes[place]
        for _ in range(halvings):
            volume = halved(volume)
        return volume, label


class ProgressiveFamily(Family[ProGANConfig | StyleGANConfig, ProgressiveTrainer]):
    """What is exported are the averaged generator and the critic; a run may start from both, at the last stage."""

    def trainer(self, config: ProGANConfig | StyleGANConfig) -> ProgressiveTrainer:
        return ProgressiveTrainer(config)

    def start(self, trainer: ProgressiveTrainer) -> None:
        if trainer.config.start_from is not None:
            trainer.start_from(trainer.config.start_from)

    def preparation(self, trainer: ProgressiveTrainer) -> Preparation:
        return preparation_of(trainer.config)

    def heaviest(self, trainer: ProgressiveTrainer) -> tuple[int, ...]:
        """In the last stage that the run comes to."""
        return (min(trainer.schedule.last_fade, self.last(trainer) - 1),)

    def example(self, trainer: ProgressiveTrainer, iteration: int) -> list[Tensor]:
        """Of the n_c batches in one, as large, a single one: n_c updates of the critic hold no more than one."""
        moment = trainer.schedule.at(iteration)
        sides = stage_shape(trainer.config.base, moment.stage)
        whole = torch.zeros(trainer.schedule.samples_at(moment.stage), 1, *sides)
        return [whole[: moment.batch_size], torch.zeros(moment.batch_size, dtype=torch.int64)]

    def batches(
        self, trainer: ProgressiveTrainer, volumes: TrainingVolumes, first: int, last: int
    ) -> Iterator[list[Tensor]]:
        """n_c batches in one, at the resolution of the iteration's stage."""
        items, workers = trainer.schedule.items(first, last), trainer.config.data_workers
        staged = StagedVolumes(volumes)
        return iter(DataLoader(staged, batch_sampler=items, num_workers=workers, persistent_workers=workers > 0))

    def last(self, trainer: ProgressiveTrainer) -> int:
        asked = trainer.config.iterations
        return trainer.first + asked if asked else trainer.schedule.iterations

    def card(self, trainer: ProgressiveTrainer, scans: int) -> ModelCard:
        return card_of(trainer.config, trainer.iteration - trainer.first, scans)

    def tensors(self, trainer: ProgressiveTrainer) -> dict[str, Tensor]:
        return tensors_of({**dict(trainer.averaged().named_children()), "critic": trainer.critic})


FAMILY = ProgressiveFamily()
