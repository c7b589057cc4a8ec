"""Training of the encoder of a finished 3D-ProGAN or 3D-StyleGAN (bone paper, section 3.5).

The generator and its critic stand still. For w a latent discriminator learns beside the encoder what the mapping gives,
so that encoded codes stay among them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from model_store.card import ModelCard
from model_store.families.progan import ServedProGAN
from model_store.families.progressive import ServedProgressive
from model_store.families.stylegan import ServedStyleGAN
from model_store.load import load
from model_store.networks.critic import LatentDiscriminator
from model_store.networks.reversed_encoder import ReversedEncoder
from training.engine.course import Progress, begin, check_folders, fit, resume
from training.engine.data import TrainingVolumes, batches, light_augmentation, prepare_folder
from training.engine.errors import DataRefused
from training.engine.export import export_tensors
from training.engine.start import card_in, tensors_in
from training.progressive.card import preparation_by
from training.progressive.config import EncoderConfig
from training.progressive.inversion_losses import (
    encoder_loss,
    gaussian_latent,
    half_square,
    latent_discriminator_loss,
    plausible_latent,
)

BETAS = (0.5, 0.9)
DENSE = {"progan": ServedProGAN.encoder_dense, "stylegan": ServedStyleGAN.encoder_dense}


class EncoderTrainer:
    """Encoder, latent discriminator and their optimisers; `step` is one iteration."""

    def __init__(self, config: EncoderConfig, card: ModelCard) -> None:
        """Raises: DataRefused, where the model is of another family."""
        if card.family not in DENSE:
            raise DataRefused(f"an encoder is trained for {' or '.join(DENSE)}; {card.name} is of family {card.family}")
        torch.manual_seed(config.seed)
        self.config, self.card, self.iteration = config, card, 0
        model = load(config.model, card, config.device)
        assert isinstance(model, ServedProgressive)
        self.model = model
        w_dim = card.latent.w_dim
        self.encoder = ReversedEncoder(model.base, model.channels, w_dim, DENSE[card.family]).to(config.device)
        if card.has_encoder:
            self._start_from(tensors_in(config.model, config.device))
        self.optimisers = {"encoder": Adam(self.encoder.parameters(), lr=config.learning_rate, betas=BETAS)}
        self.discriminator = LatentDiscriminator(w_dim).to(config.device) if card.latent.has_style_space else None
        if self.discriminator is not None:
            parameters = self.discriminator.parameters()
            self.optimisers["discriminator"] = Adam(parameters, lr=config.learning_rate, betas=BETAS)

    def _start_from(self, tensors: dict[str, Tensor]) -> None:
        """Take up the encoder that the model has."""
        own = {k.removeprefix("encoder."): v.float() for k, v in tensors.items() if k.startswith("encoder.")}
        self.encoder.load_state_dict(own)

    def step(self, real: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 -- the families have no classes
        """One iteration on real volumes (n, 1, *shape) in [0, 1]; returns the losses."""
        real = real.to(self.config.device)
        source = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.iteration)
        latent: Tensor = self.encoder(real)
        terms = self.terms(real, latent)
        loss = encoder_loss(terms, self.discriminator is not None)
        self.optimisers["encoder"].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers["encoder"].step()
        losses = {name: term.detach() for name, term in {"encoder": loss, **terms}.items()}
        if self.discriminator is not None:
            losses["discriminator"] = self._update_discriminator(self.discriminator, latent.detach(), source)
        self.iteration += 1
        return losses

    def terms(self, real: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Eq. 3, eq. 5 or 8, and eq. 4 where the model has a critic."""
        made = self.model.synthesise(latent[:, None].expand(-1, self.card.latent.num_styles, -1))
        terms = {"distortion": half_square(made, real)}
        if self.discriminator is None:
            terms["latent"] = gaussian_latent(latent)
        else:
            self.discriminator.requires_grad_(False)
            terms["latent"] = plausible_latent(self.discriminator(latent))
            self.discriminator.requires_grad_(True)
        features = self.model.critic_features(real)
        if features:
            terms["perceptual"] = half_square(self.model.critic_features(made)[-1], features[-1])
        return terms

    def _update_discriminator(
        self, discriminator: LatentDiscriminator, encoded: Tensor, source: torch.Generator
    ) -> Tensor:
        mapped = self.model.map(torch.randn(len(encoded), self.card.latent.z_dim, generator=source))[:, 0]
        loss = latent_discriminator_loss(discriminator(mapped), discriminator(encoded))
        self.optimisers["discriminator"].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers["discriminator"].step()
        return loss.detach()

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape) in [-1, 1]: generated volumes, encoded and generated again, for looking at."""
        source = torch.Generator().manual_seed(0)
        made = self.model.synthesise(self.model.map(torch.randn(count, self.card.latent.z_dim, generator=source)))
        latent = self.encoder(made)[:, None].expand(-1, self.card.latent.num_styles, -1)
        return self.model.synthesise(latent) * 2 - 1

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on."""
        networks = {"encoder": self.encoder, "discriminator": self.discriminator}
        return {
            "iteration": self.iteration,
            "networks": {name: network.state_dict() for name, network in networks.items() if network is not None},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.encoder.load_state_dict(state["networks"]["encoder"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["networks"]["discriminator"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])


def train(config: EncoderConfig, progress: Progress | None = None) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the folder of the model with encoder.

    Raises:
        DataRefused: the data folder cannot be trained on, the model is of another family, or the run does not fit
            what lies in its folder.
    """
    folder = config.out / config.name
    if folder.resolve() == config.model.resolve():
        raise DataRefused(f"the model with its encoder would replace {folder}: take another --name or --out")
    check_folders(config)
    card = card_in(config.model)
    trainer, checkpoint = EncoderTrainer(config, card), config.out / "checkpoint.pt"
    resume(trainer, checkpoint, config.device)
    scans = prepare_folder(config.data, config.cache, preparation_by(card))
    begin(config)
    augmentation = light_augmentation(card.shape) if config.augment == "light" else None
    volumes = TrainingVolumes(scans, config.seed, augmentation)

    def of_iterations(first: int, last: int) -> Iterator[list[Tensor]]:
        return batches(volumes, config.batch_size, first, last, config.data_workers)

    fit(trainer, of_iterations, config, checkpoint, config.log, config.iterations, progress)
    tensors = tensors_in(config.model)
    tensors |= {f"encoder.{key}": value for key, value in trainer.encoder.state_dict().items()}
    provenance = card.provenance.model_copy(
        update={"iterations": card.provenance.iterations | {"encoder": trainer.iteration}}
    )
    changes = {"name": config.name, "has_encoder": True, "provenance": provenance}
    export_tensors(folder, card.model_copy(update=changes), tensors)
    return folder
