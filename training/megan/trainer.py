"""Training of MEGAN (Uzunova et al., section 2.2): conditional GANs with an L1 distance, LR first, then HR by HR."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader

from model_store.card import IntensitySpec, Provenance, TranslatorCard
from model_store.networks.cascade import Cascade
from model_store.networks.layers import wide
from model_store.networks.megan import ResidualBlock
from model_store.networks.patches import PATCH
from model_store.sizes.megan import MEGANSizes
from training.engine.card import UNIT_RANGE
from training.engine.data import TrainingVolumes, masks_of, scans_in
from training.engine.export import tensors_of
from training.engine.family import Family
from training.engine.trainer import Trainer
from training.megan.augmentation import degraded
from training.megan.config import MEGANConfig
from training.megan.networks import LowCritic, PatchCritic
from training.megan.patches import Examples
from training.megan.preparation import Drawn, DrawnWithMasks

BETAS = (0.5, 0.999)


class MEGANTrainer(Trainer[MEGANConfig]):
    """The networks of all scales; an iteration is of one."""

    def __init__(self, config: MEGANConfig) -> None:
        super().__init__(config)
        scales = config.doublings + 1
        self.cascade = Cascade.build(config.network)
        for layer in self.cascade.modules():
            if isinstance(layer, ResidualBlock):
                layer.dropout = config.dropout
        critics: list[nn.Module] = [LowCritic(config.critic_width)]
        critics += [PatchCritic(config.critic_width) for _ in range(config.doublings)]
        self.critics = nn.ModuleList(critics)
        self.networks = nn.ModuleDict({"cascade": self.cascade, "critics": self.critics}).to(config.device)
        self.optimisers = {}
        for scale in range(scales):
            for name, network in (("generator", self.cascade.levels[scale]), ("critic", self.critics[scale])):
                self.optimisers[f"{name} {scale}"] = Adam(
                    network.parameters(), lr=config.learning_rate, betas=BETAS, fused=True
                )
        self._made = torch.zeros(1, 1, 1, 1, 1)

    @property
    def scale(self) -> int:
        """Of the iteration to come."""
        return min(self.iteration // self.config.iterations, self.config.doublings)

    def alike_until(self) -> int | None:
        return None if self.scale == self.config.doublings else (self.scale + 1) * self.config.iterations

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """One iteration on images (n, 1, ...) and, in the place of labels, the conditions that they are made from."""
        assert labels is not None
        scale, config, source = self.scale, self.config, self.source(self.iteration)
        clean, real = labels, real.to(config.device)
        seen = degraded(clean, config, source).to(config.device)
        self.networks.train()
        with torch.random.fork_rng(devices=[config.device] if config.device != "cpu" else []):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=source)))  # for dropout
            with self.forward_precision():
                made = wide(self.cascade.levels[scale](seen))
            critic = self.critics[scale]
            losses = self._teach(scale, critic, real, made.detach(), seen)
            self._made = made.detach()

            def generator_loss(_whole: slice) -> Tensor:
                again = wide(self.cascade.levels[scale](seen))
                return self._loss(critic(again, seen), True) + config.l1_weight * F.l1_loss(again, real)

            losses["generator"] = self.update(f"generator {scale}", generator_loss, len(real))
        self.iteration += 1
        return losses | {"l1": F.l1_loss(self._made, real)}

    def _teach(self, scale: int, critic: nn.Module, real: Tensor, made: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """The discriminator's half of eq. 2, left out while it is right too often."""
        with torch.no_grad(), self.forward_precision():
            verdicts = critic(real, seen), critic(made, seen)
        right = torch.cat([(verdicts[0] > 0).flatten(), (verdicts[1] < 0).flatten()]).float().mean()
        if float(right) > self.config.critic_until:
            return {"critic": (self._loss(verdicts[0], True) + self._loss(verdicts[1], False)) / 2}

        def loss(_whole: slice) -> Tensor:
            return (self._loss(critic(real, seen), True) + self._loss(critic(made, seen), False)) / 2

        return {"critic": self.update(f"critic {scale}", loss, len(real))}

    @staticmethod
    def _loss(verdict: Tensor, is_real: bool) -> Tensor:
        """Eq. 1's logarithm; of the generator the form that does not saturate."""
        logits = wide(verdict)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))

    def sample(self, count: int) -> Tensor:
        """The images of the last iteration, at most `count`."""
        return self._made[:count].clamp(-1, 1)


class MEGANFamily(Family[MEGANConfig, MEGANTrainer]):
    """What is exported is the cascade, trained one network after the other."""

    def check(self, config: MEGANConfig) -> None:
        if config.masks is not None:
            masks_of(scans_in(config.data), config.masks)

    def trainer(self, config: MEGANConfig) -> MEGANTrainer:
        return MEGANTrainer(config)

    def preparation(self, trainer: MEGANTrainer) -> Drawn:
        config, edges = trainer.config, trainer.config.network.edges
        kind = Drawn if config.masks is None else DrawnWithMasks
        return kind(
            config.axes,
            config.grid,
            config.lr_size,
            config.doublings,
            config.window,
            edges.sigma,
            edges.low,
            edges.high,
            config.contrasts,
        )

    def masks(self, config: MEGANConfig) -> Path | None:
        return config.masks

    def heaviest(self, trainer: MEGANTrainer) -> tuple[int, ...]:
        """Of LR and of HR."""
        return 0, trainer.config.iterations

    def example(self, trainer: MEGANTrainer, iteration: int) -> list[Tensor]:
        """The largest that LR gets, which in true proportions has shorter sides, or patches."""
        config = trainer.config
        if iteration < config.iterations:
            return [torch.zeros(1, 1, *[side] * 3) for side in (config.lr_size, 2 * config.lr_size)]
        return [torch.zeros(config.batch_size, channels, *[PATCH] * 3) for channels in (1, 2)]

    def batches(self, trainer: MEGANTrainer, volumes: TrainingVolumes, first: int, last: int) -> Iterator[list[Tensor]]:
        """[images, conditions] of each iteration."""
        config = trainer.config
        workers = config.data_workers
        examples = Examples(volumes.scans, config)
        return iter(
            DataLoader(
                examples,
                batch_size=None,
                sampler=range(first, last),
                num_workers=workers,
                persistent_workers=workers > 0,
            )
        )

    def last(self, trainer: MEGANTrainer) -> int:
        """All networks have had their iterations."""
        return trainer.config.iterations * (trainer.config.doublings + 1)

    def card(self, trainer: MEGANTrainer, scans: int) -> TranslatorCard:
        config = trainer.config
        low, high = config.window or UNIT_RANGE
        sides = " -> ".join(str(config.lr_size << scale) for scale in range(config.doublings + 1))
        return TranslatorCard(
            name=config.name,
            family=MEGANSizes.family,
            title=f"MEGAN to {config.target_domain or config.modality}, {sides}",
            modality=config.modality,
            anatomy=config.anatomy,
            axes=config.axes,
            target_domain=config.target_domain or config.modality,
            grid=config.grid,
            input_window=config.window,
            intensity=IntensitySpec(low=low, high=high, units="HU" if config.modality == "CT" else "a.u."),
            network=config.network.model_dump(),
            provenance=Provenance(
                origin="trained",
                iterations={"each_network": config.iterations},
                notes=f"Trained on {scans} scans{', with masks of pathologies' if config.masks else ''}.",
            ),
        )

    def tensors(self, trainer: MEGANTrainer) -> dict[str, Tensor]:
        return tensors_of({"cascade": trainer.cascade})


FAMILY = MEGANFamily()
