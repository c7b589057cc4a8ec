"""Training of the encoder of a finished 3D-ProGAN or 3D-StyleGAN (bone paper, section 3.5).

The generator and its critic stand still. For w a latent discriminator learns beside the encoder what the mapping gives,
so that encoded codes stay among them.
"""

import torch
from torch import Tensor, nn
from torch.optim import Adam

from model_store.card import ModelCard
from model_store.families.progan import ServedProGAN
from model_store.families.progressive import ServedProgressive
from model_store.families.stylegan import ServedStyleGAN
from model_store.load import load
from model_store.networks.critic import LatentDiscriminator
from model_store.networks.layers import wide
from model_store.networks.reversed_encoder import ReversedEncoder
from training.engine.errors import DataRefused
from training.engine.export import tensors_of
from training.engine.family import Family
from training.engine.start import card_in, tensors_in
from training.engine.trainer import Trainer
from training.progressive.config import EncoderConfig
from training.progressive.inversion_losses import (
    encoder_loss,
    gaussian_latent,
    half_square,
    latent_discriminator_loss,
    plausible_latent,
)
from volumes.scan import Preparation, preparation_by

BETAS = (0.5, 0.9)
DENSE = {"progan": ServedProGAN.encoder_dense, "stylegan": ServedStyleGAN.encoder_dense}


class EncoderTrainer(Trainer[EncoderConfig]):
    """Encoder and, for w, the latent discriminator, beside the model that stands still."""

    def __init__(self, config: EncoderConfig, card: ModelCard) -> None:
        """Raises: DataRefused, where the model is of another family."""
        if card.family not in DENSE:
            raise DataRefused(f"an encoder is trained for {' or '.join(DENSE)}; {card.name} is of family {card.family}")
        super().__init__(config)
        self.card = card
        model = load(config.model, card, config.device)
        assert isinstance(model, ServedProgressive)
        self.model = model
        w_dim, rate = card.latent.w_dim, config.learning_rate
        self.encoder = ReversedEncoder(model.base, model.channels, w_dim, DENSE[card.family]).to(config.device)
        self.discriminator = LatentDiscriminator(w_dim).to(config.device) if card.latent.has_style_space else None
        found = {"encoder": self.encoder, "discriminator": self.discriminator}
        self.networks = nn.ModuleDict({name: network for name, network in found.items() if network is not None})
        self.optimisers = {
            name: Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)
            for name, network in self.networks.items()
        }

    def start_from_model(self) -> None:
        """Take up the encoder that the model has."""
        tensors = tensors_in(self.config.model, self.config.device)
        own = {k.removeprefix("encoder."): v.float() for k, v in tensors.items() if k.startswith("encoder.")}
        self.encoder.load_state_dict(own)

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:  # noqa: ARG002 -- there are no classes
        """One iteration on real volumes (n, 1, *shape) in [0, 1]; returns the losses."""
        real, source = real.to(self.config.device), self.source(self.iteration)
        encoded: list[Tensor] = []
        found: list[dict[str, Tensor]] = []

        def loss(part: slice) -> Tensor:
            latent = wide(self.encoder(real[part]))
            terms = self.terms(real[part], latent)
            encoded.append(latent.detach())
            found.append({name: term.detach() for name, term in terms.items()})
            return encoder_loss(terms, self.discriminator is not None)

        losses = {"encoder": self.update("encoder", loss, len(real))}
        losses |= {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}
        if self.discriminator is not None:
            losses["discriminator"] = self._update_discriminator(self.discriminator, torch.cat(encoded), source)
        self.iteration += 1
        return losses

    def terms(self, real: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Eq. 3, eq. 5 or 8, and eq. 4 where the model has a critic."""
        made = self.model.synthesise(latent[:, None].expand(-1, self.card.latent.num_styles, -1))
        terms = {"distortion": half_square(made, real)}
        if self.discriminator is None:
            terms["latent"] = gaussian_latent(latent)
        else:
            terms["latent"] = plausible_latent(self.discriminator(latent))
        features = self.model.critic_features(real)
        if features:
            terms["perceptual"] = half_square(self.model.critic_features(made)[-1], features[-1])
        return terms

    def _update_discriminator(
        self, discriminator: LatentDiscriminator, encoded: Tensor, source: torch.Generator
    ) -> Tensor:
        mapped = self.model.map(self.draw(source, len(encoded), self.card.latent.z_dim))[:, 0]

        def loss(part: slice) -> Tensor:
            return latent_discriminator_loss(discriminator(mapped[part]), discriminator(encoded[part]))

        return self.update("discriminator", loss, len(encoded))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape) in [-1, 1]: generated volumes, encoded and generated again, for looking at."""
        source = torch.Generator().manual_seed(0)
        made = self.model.synthesise(self.model.map(self.draw(source, count, self.card.latent.z_dim)))
        latent = self.encoder(made)[:, None].expand(-1, self.card.latent.num_styles, -1)
        return self.model.synthesise(latent) * 2 - 1


class EncoderFamily(Family[EncoderConfig, EncoderTrainer]):
    """What is exported is the model with the encoder added."""

    def check(self, config: EncoderConfig) -> None:
        folder = config.out / config.name
        if folder.resolve() == config.model.resolve():
            raise DataRefused(f"the model with its encoder would replace {folder}: take another --name or --out")

    def trainer(self, config: EncoderConfig) -> EncoderTrainer:
        return EncoderTrainer(config, card_in(config.model))

    def start(self, trainer: EncoderTrainer) -> None:
        if trainer.card.has_encoder:
            trainer.start_from_model()

    def preparation(self, trainer: EncoderTrainer) -> Preparation:
        return preparation_by(trainer.card)

    def card(self, trainer: EncoderTrainer, scans: int) -> ModelCard:  # noqa: ARG002 -- the card tells of the model's
        card, done = trainer.card, {"encoder": trainer.iteration}
        provenance = card.provenance.model_copy(update={"iterations": card.provenance.iterations | done})
        return card.model_copy(update={"name": trainer.config.name, "has_encoder": True, "provenance": provenance})

    def tensors(self, trainer: EncoderTrainer) -> dict[str, Tensor]:
        return tensors_in(trainer.config.model) | tensors_of({"encoder": trainer.encoder})


FAMILY = EncoderFamily()
