"""Training of 3D-ProGAN and 3D-StyleGAN as in the bone paper (section 3.4, appendix B).

One iteration is n_c updates of the critic and one of the generator. Stages grow as the schedule says.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

from model_store.networks.critic import Critic
from model_store.networks.progressive import doubled, faded, halved, stage_shape
from training.engine.average import ParameterAverage
from training.engine.course import Progress, begin, check_folders, fit, resume
from training.engine.data import TrainingVolumes, light_augmentation, prepare_folder
from training.engine.errors import DataRefused
from training.engine.export import export
from training.engine.start import tensors_in
from training.progressive.card import card_of, preparation_of
from training.progressive.config import ProGANConfig, StyleGANConfig
from training.progressive.networks import GrowingProGAN, GrowingStyleGAN
from training.progressive.schedule import Moment
from training.progressive.wgan import critic_loss, generator_loss

BETAS = (0.0, 0.98)
GENERATOR_EPSILON, CRITIC_EPSILON = 1e-7, 5e-5
LARGEST_NORM = 2.0
"""Of the generator's gradient."""


class ProgressiveTrainer:
    """Networks and optimisers; `step` is one iteration."""

    def __init__(self, config: ProGANConfig | StyleGANConfig) -> None:
        self.config, self.schedule, self.iteration = config, config.schedule, 0
        torch.manual_seed(config.seed)
        device = torch.device(config.device)
        generator = GrowingStyleGAN(config) if isinstance(config, StyleGANConfig) else GrowingProGAN(config)
        self.generator = generator.to(device)
        self.critic = Critic(config.critic_widths).to(device)
        for parameter in (*self.generator.parameters(), *self.critic.parameters()):
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.average = ParameterAverage(self.generator, config.average)
        rate = config.learning_rate
        self.optimisers = {
            "generator": Adam(self.generator.rates(rate), betas=BETAS, eps=GENERATOR_EPSILON),
            "critic": Adam(self.critic.parameters(), lr=rate, betas=BETAS, eps=CRITIC_EPSILON),
        }
        self._rates = {name: [g["lr"] for g in opt.param_groups] for name, opt in self.optimisers.items()}

    def step(self, real: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 -- the families have no classes
        """One iteration on real volumes (n_c * batch, 1, *shape) in [0, 1], of the stage's resolution or a higher one;
        returns the losses of its last updates."""
        moment = self.schedule.at(self.iteration)
        for name, optimiser in self.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * moment.decay
        source = self._source(self.config.seed * 1_000_003 + self.iteration)
        for part in torch.split(real.to(self.config.device), moment.batch_size):
            loss, distance = self._update_critic(self._at(part, moment), moment, source)
        losses = {"critic": loss, "distance": distance, "generator": self._update_generator(moment, source)}
        self.average.update()
        self.iteration += 1
        return losses

    def _source(self, seed: int) -> torch.Generator:
        """All randomness of one iteration."""
        return torch.Generator(self.config.device).manual_seed(seed)

    def _draw(self, count: int, source: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.z_dim, generator=source, device=self.config.device)

    def _at(self, real: Tensor, moment: Moment) -> Tensor:
        """Real volumes at the moment's stage; while it fades in they go from the stage before to it, as in [14]."""
        while tuple(real.shape[2:]) != stage_shape(self.config.base, moment.stage):
            real = halved(real)
        return real if moment.alpha == 1 else faded(doubled(halved(real)), real, moment.alpha)

    def _update_critic(self, real: Tensor, moment: Moment, source: torch.Generator) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            made = self.generator(self._draw(len(real), source), moment.stage, moment.alpha, source)
        mix = torch.rand(len(real), generator=source, device=self.config.device)
        self.optimisers["critic"].zero_grad(set_to_none=True)
        loss, distance = critic_loss(lambda x: self.critic(x, moment.stage, moment.alpha), real, made, mix)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers["critic"].step()
        return loss.detach(), distance

    def _update_generator(self, moment: Moment, source: torch.Generator) -> Tensor:
        self.critic.requires_grad_(False)
        self.optimisers["generator"].zero_grad(set_to_none=True)
        made = self.generator(self._draw(moment.batch_size, source), moment.stage, moment.alpha, source)
        loss = generator_loss(lambda x: self.critic(x, moment.stage, moment.alpha), made)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.generator.parameters(), LARGEST_NORM)
        self.optimisers["generator"].step()
        self.critic.requires_grad_(True)
        return loss.detach()

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
        source = self._source(0)
        made: Tensor = self.averaged()(self._draw(count, source), moment.stage, moment.alpha, source)
        return made * 2 - 1

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on, and the averaged weights."""
        return {
            "iteration": self.iteration,
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.average.restore(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])

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
        self.iteration = self.schedule.last_stage


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


def train(config: ProGANConfig | StyleGANConfig, progress: Progress | None = None) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the exported model's folder.

    Raises:
        DataRefused: the data folder cannot be trained on, or the run does not fit what lies in its folder.
    """
    check_folders(config)
    trainer, checkpoint = ProgressiveTrainer(config), config.out / "checkpoint.pt"
    if config.start_from is not None:
        trainer.start_from(config.start_from)
    first, schedule = trainer.iteration, config.schedule
    resume(trainer, checkpoint, config.device)
    scans = prepare_folder(config.data, config.cache, preparation_of(config))
    begin(config)
    augmentation = light_augmentation(config.shape) if config.augment == "light" else None
    volumes = StagedVolumes(TrainingVolumes(scans, config.seed, augmentation))

    def of_iterations(begin: int, end: int) -> Iterator[list[Tensor]]:
        workers, items = config.data_workers, schedule.items(begin, end)
        return iter(DataLoader(volumes, batch_sampler=items, num_workers=workers, persistent_workers=workers > 0))

    last = first + config.iterations if config.iterations else schedule.iterations
    fit(trainer, of_iterations, config, checkpoint, config.log, last, progress)
    made, folder = trainer.averaged(), config.out / config.name
    networks = {**dict(made.named_children()), "critic": trainer.critic}
    export(folder, card_of(config, trainer.iteration - first, len(scans.paths)), networks)
    return folder
