"""Training of HA-GAN as in the paper: D, G, E^H and E^G in turn, one batch per iteration (section III-D, E)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from model_store.card import ModelCard
from model_store.networks.hagan import HAGANDiscriminator, HAGANEncoder, HAGANGenerator
from training.engine.checkpoint import save as save  # for the demo model's own runs
from training.engine.data import Scans
from training.engine.errors import DataRefused
from training.engine.export import tensors_of
from training.engine.family import Family
from training.engine.start import tensors_in
from training.engine.trainer import Loss, Trainer
from training.hagan.card import card_of, preparation_of
from training.hagan.config import HAGANConfig
from training.hagan.losses import discriminator_loss, generator_loss, sub_volume_reconstruction, volume_reconstruction
from volumes.scan import Preparation

BETAS = (0.0, 0.999)


@dataclass(frozen=True)
class Drawn:
    """What volumes are generated from: z ~ N(0, I) (n, latent_dim) and c ~ p_c (n,), None without classes."""

    z: Tensor
    labels: Tensor | None

    def part(self, which: slice) -> "Drawn":
        """Some of the samples."""
        return Drawn(self.z[which], None if self.labels is None else self.labels[which])


@dataclass(frozen=True)
class Chance:
    """The random part of one iteration, a function of (seed, iteration)."""

    start: int
    """r: the slice at which the sub-volumes of the whole batch start."""
    for_discriminator: Drawn
    for_generator: Drawn
    """Others: an update of G on what D has just learnt to reject would be biased."""


class HAGANTrainer(Trainer[HAGANConfig]):
    """Generator, encoder and discriminator; four optimisers.

    E^H and E^G have an Adam each and no loss but one, so that `lambda_1` and `lambda_2`, which scale that loss, leave
    the steps as they are (but for Adam's epsilon). They stand here because eq. 8 has them.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__(config)
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
            name: Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)
            for name, (network, rate) in rates.items()
        }
        self.class_frequencies = torch.ones(classes)
        """p_c up to a factor (K,), even until scans are surveyed. Not of the state: a resumed run surveys them anew."""

    def survey(self, labels: Sequence[int]) -> None:
        """Take p_c from the labels of the training scans (section IV-C)."""
        self.class_frequencies = torch.bincount(torch.tensor(labels), minlength=len(self.config.classes)).float()

    def chance(self, iteration: int, count: int) -> Chance:
        """z from N(0, I), classes from p_c, r from a uniform distribution."""
        source = self.source(iteration)
        start = int(
            torch.randint(self.config.size - self.config.size // self.generator.slabs + 1, (1,), generator=source)
        )
        return Chance(start, self._drawn(source, count), self._drawn(source, count))

    def _drawn(self, source: torch.Generator, count: int) -> Drawn:
        z = self.draw(source, count, self.config.latent_dim)
        if not self.config.classes:
            return Drawn(z, None)
        labels = torch.multinomial(self.class_frequencies, count, replacement=True, generator=source)
        return Drawn(z, labels.to(self.config.device))

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else F.one_hot(labels, len(self.config.classes)).float()

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """One iteration on real volumes (n, 1, S, S, S) and labels (n,), unread without classes; returns the losses."""
        labels = labels if self.config.classes else None
        real = real.to(self.config.device).contiguous(memory_format=torch.channels_last_3d)
        labels = None if labels is None else labels.to(self.config.device)
        chance = self.chance(self.iteration, len(real))
        one_hot, start = self.one_hot(labels), chance.start
        loss_of: dict[str, Loss] = {
            "discriminator": lambda part: self._discriminator_loss(
                real[part], None if labels is None else labels[part], chance.for_discriminator.part(part), start
            ),
            "generator": lambda part: self._generator_loss(chance.for_generator.part(part), start),
            "encoder_high": lambda part: self._sub_volume_loss(real[part], start),
            "encoder_ground": lambda part: self._volume_loss(
                real[part], None if one_hot is None else one_hot[part], start
            ),
        }
        losses = {name: self.update(name, loss, len(real)) for name, loss in loss_of.items()}
        self.iteration += 1
        return losses

    def _discriminator_loss(self, real: Tensor, labels: Tensor | None, drawn: Drawn, start: int) -> Tensor:
        with torch.no_grad():
            features = self.generator.common(drawn.z, self.one_hot(drawn.labels))
            slab, low = self.generator.sub_volume(features, start), self.generator.low(features)
        return discriminator_loss(self.discriminator, real, slab, low, start, labels, drawn.labels)

    def _generator_loss(self, drawn: Drawn, start: int) -> Tensor:
        nets, weight = (self.generator, self.discriminator), self.config.lambda_class
        return generator_loss(*nets, drawn.z, self.one_hot(drawn.labels), start, drawn.labels, weight)

    def _sub_volume_loss(self, real: Tensor, start: int) -> Tensor:
        return self.config.lambda_1 * sub_volume_reconstruction(self.generator, self.encoder, real, start)

    def _volume_loss(self, real: Tensor, one_hot: Tensor | None, start: int) -> Tensor:
        return self.config.lambda_2 * volume_reconstruction(self.generator, self.encoder, real, start, one_hot)

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
        z = self.draw(torch.Generator().manual_seed(seed), count, self.config.latent_dim)
        labels = torch.arange(count, device=z.device) % len(self.config.classes) if self.config.classes else None
        low: Tensor = self.generator.low(self.generator.common(z, self.one_hot(labels)))
        return low


class HAGANFamily(Family[HAGANConfig, HAGANTrainer]):
    """What is exported are generator and encoder; a run may start from both."""

    def trainer(self, config: HAGANConfig) -> HAGANTrainer:
        return HAGANTrainer(config)

    def start(self, trainer: HAGANTrainer) -> None:
        if trainer.config.start_from is not None:
            trainer.start_from(trainer.config.start_from)

    def preparation(self, trainer: HAGANTrainer) -> Preparation:
        return preparation_of(trainer.config)

    def classes(self, config: HAGANConfig) -> Sequence[str]:
        return config.classes

    def survey(self, trainer: HAGANTrainer, scans: Scans) -> None:
        if scans.labels is not None:
            trainer.survey(scans.labels)

    def card(self, trainer: HAGANTrainer, scans: int) -> ModelCard:
        return card_of(trainer.config, trainer.iteration, scans)

    def tensors(self, trainer: HAGANTrainer) -> dict[str, Tensor]:
        return tensors_of({"generator": trainer.generator, "encoder": trainer.encoder})


FAMILY = HAGANFamily()
