"""Training of HA-GAN as in the paper: D, G, E^H and E^G in turn, one batch per iteration (section III-D, E)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from model_store.networks.hagan import HAGANDiscriminator, HAGANEncoder, HAGANGenerator
from training.engine.checkpoint import save as save  # for the demo model's own runs
from training.engine.config import HAGANConfig
from training.engine.course import Progress, begin, check_folders, fit, resume
from training.engine.data import TrainingVolumes, batches, light_augmentation, prepare_folder
from training.engine.errors import DataRefused
from training.engine.export import export
from training.engine.start import tensors_in
from training.hagan.card import card_of, preparation_of
from training.hagan.losses import discriminator_loss, generator_loss, sub_volume_reconstruction, volume_reconstruction

BETAS = (0.0, 0.999)


@dataclass(frozen=True)
class Draw:
    """The random part of one iteration, a function of (seed, iteration)."""

    z: Tensor
    labels: Tensor | None
    start: int
    """r: the slice at which the sub-volumes of the whole batch start."""


class HAGANTrainer:
    """Networks and optimisers; `step` is one iteration."""

    def __init__(self, config: HAGANConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        shape = config.size, config.width
        classes = len(config.classes)
        self.generator = HAGANGenerator(*shape, config.latent_dim, classes)
        self.encoder = HAGANEncoder(*shape, config.latent_dim)
        self.discriminator = HAGANDiscriminator(*shape, classes)
        self.networks = nn.ModuleDict(
            {"generator": self.generator, "encoder": self.encoder, "discriminator": self.discriminator}
        ).to(torch.device(config.device), memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        rates = {
            "generator": (self.generator, config.lr_generator),
            "discriminator": (self.discriminator, config.lr_discriminator),
            "encoder_high": (self.encoder.high, config.lr_encoder),
            "encoder_ground": (self.encoder.ground, config.lr_encoder),
        }
        self.optimisers = {
            name: Adam(network.parameters(), lr=rate, betas=BETAS) for name, (network, rate) in rates.items()
        }
        self.iteration = 0

    def draw(self, iteration: int, count: int) -> Draw:
        """z from N(0, I), classes and r from uniform distributions."""
        config = self.config
        source = torch.Generator().manual_seed(config.seed * 1_000_003 + iteration)
        z = torch.randn(count, config.latent_dim, generator=source)
        classes = len(config.classes)
        labels = torch.randint(classes, (count,), generator=source).to(config.device) if classes else None
        start = int(torch.randint(config.size * 7 // 8 + 1, (1,), generator=source))
        return Draw(z.to(config.device), labels, start)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else F.one_hot(labels, len(self.config.classes)).float()

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """One iteration on real volumes (n, 1, S, S, S) and labels (n,), unread without classes; returns the losses."""
        labels = labels if self.config.classes else None
        real = real.to(self.config.device).contiguous(memory_format=torch.channels_last_3d)
        labels = None if labels is None else labels.to(self.config.device)
        draw = self.draw(self.iteration, len(real))
        losses = {
            "discriminator": self._update("discriminator", lambda: self._discriminator_loss(real, labels, draw)),
            "generator": self._update("generator", lambda: self._generator_loss(draw)),
            "encoder_high": self._update(
                "encoder_high",
                lambda: (
                    self.config.lambda_1 * sub_volume_reconstruction(self.generator, self.encoder, real, draw.start)
                ),
            ),
            "encoder_ground": self._update(
                "encoder_ground",
                lambda: (
                    self.config.lambda_2
                    * volume_reconstruction(self.generator, self.encoder, real, draw.start, self.one_hot(labels))
                ),
            ),
        }
        self.iteration += 1
        return losses

    def _update(self, name: str, loss_of: Callable[[], Tensor]) -> Tensor:
        """Minimise over the parameters of one optimiser, everything else held still."""
        optimiser = self.optimisers[name]
        self.networks.requires_grad_(False)
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    def _discriminator_loss(self, real: Tensor, labels: Tensor | None, draw: Draw) -> Tensor:
        with torch.no_grad():
            features = self.generator.common(draw.z, self.one_hot(draw.labels))
            slab, low = self.generator.sub_volume(features, draw.start), self.generator.low(features)
        return discriminator_loss(self.discriminator, real, slab, low, draw.start, labels, draw.labels)

    def _generator_loss(self, draw: Draw) -> Tensor:
        one_hot = self.one_hot(draw.labels)
        return generator_loss(self.generator, self.discriminator, draw.z, one_hot, draw.start, draw.labels)

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on."""
        return {
            "iteration": self.iteration,
            "networks": self.networks.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.networks.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])

    def start_from(self, folder: Path) -> None:
        """Take generator and encoder from a model folder; a model without encoder or G^L gives what it has.

        Raises:
            DataRefused: it is no model, or its networks are not of this run's sizes.
        """
        tensors = tensors_in(folder, self.config.device)
        own = self.networks.state_dict()
        odd = [key for key, tensor in tensors.items() if key not in own or own[key].shape != tensor.shape]
        if odd:
            raise DataRefused(f"the model to start from is of other sizes: {len(odd)} tensors, first {odd[0]}")
        with torch.no_grad():
            for key, tensor in tensors.items():
                own[key].copy_(tensor)  # stored as float16 or float32

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> Tensor:
        """(n, 1, S/4, S/4, S/4) low-resolution samples, for looking at."""
        z = torch.randn(count, self.config.latent_dim, generator=torch.Generator().manual_seed(seed))
        labels = torch.arange(count) % len(self.config.classes) if self.config.classes else None
        one_hot = self.one_hot(labels)
        device = self.config.device
        features = self.generator.common(z.to(device), None if one_hot is None else one_hot.to(device))
        low: Tensor = self.generator.low(features)
        return low


def train(config: HAGANConfig, progress: Progress | None = None) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the exported model's folder.

    Raises:
        DataRefused: the data folder cannot be trained on, or the run does not fit what lies in its folder.
    """
    check_folders(config)
    trainer, checkpoint = HAGANTrainer(config), config.out / "checkpoint.pt"
    if not resume(trainer, checkpoint, config.device) and config.start_from is not None:
        trainer.start_from(config.start_from)
    scans = prepare_folder(config.data, config.cache, preparation_of(config), config.classes)
    begin(config)
    augmentation = light_augmentation((config.size,) * 3) if config.augment == "light" else None
    volumes = TrainingVolumes(scans, config.seed, augmentation)

    def of_iterations(first: int, last: int) -> Iterator[list[Tensor]]:
        return batches(volumes, config.batch_size, first, last, config.data_workers)

    fit(trainer, of_iterations, config, checkpoint, config.log, config.iterations, progress)
    networks = {"generator": trainer.generator, "encoder": trainer.encoder}
    folder = config.out / config.name
    export(folder, card_of(config, trainer.iteration, len(scans.paths)), networks)
    return folder
