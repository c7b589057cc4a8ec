"""Supervised training of a conditional HA-GAN on pairs of a latent and the phantoms that it names (decision 63).

G^A with G^L at growing resolution, then G^H, then all of the generator, then the encoder. Every batch holds each of its
latents in two classes, and what the classes differ by is a loss of its own: in squared error over all of HU the air of
a hole and the air of a lung are nearly the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.hagan import HAGANEncoder, HAGANGenerator
from model_store.networks.layers import NormReLU
from training.demo.thorax_anatomy import CLASSES
from training.demo.thorax_pairs import Pairs
from training.demo.warm_start import Phase, optimise, optimisers_of, reconstruction_loss
from training.engine.average import ParameterAverage
from training.engine.precision import forward_here
from training.engine.processes import Tell

_AIR, _AIR_WIDTH = -0.87, 0.1
"""-918 HU and 81 HU in the network's range: between a hole and the lung."""
_BONE, _BONE_WIDTH = 0.51, 0.18
"""202 HU and 146 HU wide: between soft tissue and bone."""
_GRAIN = 0.02
"""Of noise on the volumes that the encoder sees, in the network's range: 16 HU."""
_LUNG_WEIGHT, _CLASS_WEIGHT, _BONE_WEIGHT = 2.0, 8.0, 4.0
_ANATOMY_WEIGHT = 4.0


@dataclass(frozen=True)
class Plan:
    """The phases in order, batches counted in latents."""

    pairs: int
    low: tuple[Phase, Phase, Phase]
    """G^A and G^L at S/8, at S/4, and there again."""
    high: Phase
    """G^H alone."""
    joint: Phase
    """The whole generator."""
    anatomy: Phase
    """The same, where what is alike in the classes weighs more."""
    encoder_high: Phase
    encoder: Phase
    bones: Phase
    """The whole generator again, with an error of its own in the window of bones."""
    encoder_again: Phase


SHIPPED_PLAN = Plan(
    pairs=480,
    low=(Phase(200, 8, 3e-3), Phase(500, 4, 3e-3), Phase(350, 4, 2.5e-3)),
    high=Phase(40, 1, 3e-3),
    joint=Phase(220, 1, 1.5e-3),
    anatomy=Phase(500, 1, 2e-3),
    encoder_high=Phase(40, 1, 2e-3),
    encoder=Phase(100, 1, 2e-3),
    bones=Phase(650, 1, 1.5e-3),
    encoder_again=Phase(450, 1, 1.5e-3),
)
"""What made the shipped model."""


def lung_window(volume: Tensor) -> Tensor:
    """[-1, 1] -> a range where the air of lungs takes most of the room, and all that is denser next to none."""
    return torch.tanh((volume - _AIR) / _AIR_WIDTH)


def bone_loss(made: Tensor, real: Tensor) -> Tensor:
    """Squared error in a range where the step from soft tissue to bone takes most of the room: ribs are a hundredth of
    the voxels, and in all of HU a haze in their place costs little."""
    return F.mse_loss(torch.tanh((made - _BONE) / _BONE_WIDTH), torch.tanh((real - _BONE) / _BONE_WIDTH))


def pair_loss(made: Tensor, real: Tensor, anatomy: float = 1.0) -> Tensor:
    """Of volumes (2n, 1, e, e, e) whose neighbours are one latent in two classes.

    That of the other demo models, squared error in the lung window, and there that of the difference of two classes.

    Args:
        anatomy: weight of the first.
    """
    lungs, true_lungs = lung_window(made), lung_window(real)
    classes = F.mse_loss(lungs[::2] - lungs[1::2], true_lungs[::2] - true_lungs[1::2])
    usual = anatomy * reconstruction_loss(made, real)
    return usual + _LUNG_WEIGHT * F.mse_loss(lungs, true_lungs) + _CLASS_WEIGHT * classes


def one_hot(labels: Tensor) -> Tensor:
    """(n,) -> (n, classes)."""
    return F.one_hot(labels, len(CLASSES)).float()


class StageHead(nn.Module):
    """Reads a volume from the feature maps of a stage that is not the last one; thrown away afterwards."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, hidden, 3, padding=1)
        self.norm1 = NormReLU(hidden)
        self.conv2 = nn.Conv3d(hidden, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, e, e, e) -> (n, 1, e, e, e) in [-1, 1]."""
        return torch.tanh_(self.conv2(self.norm1(self.conv1(features))))


class ThoraxStart:
    """The phases over one generator and one encoder."""

    def __init__(self, generator: HAGANGenerator, encoder: HAGANEncoder, pairs: Pairs, width: int, seed: int,
                 tell: Tell) -> None:  # fmt: skip
        self.generator, self.encoder, self.pairs, self.width, self.tell = generator, encoder, pairs, width, tell
        self.source = torch.Generator().manual_seed(seed)
        for network in (generator, encoder):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def fit_low(self, last: int, phase: Phase) -> None:
        """G^A up to convolution `last`: 3 with a head of its own at S/8, 5 with G^L at S/4."""
        head = self.generator.low if last == 5 else StageHead(8 * self.width, 2 * self.width)

        def loss() -> Tensor:
            batch = self.pairs.draw(phase.batch_size, self.source, high=False)
            with forward_here():
                made = head(self.generator.common(batch.z, one_hot(batch.labels), last=last))
            return pair_loss(made.float(), F.adaptive_avg_pool3d(batch.real, made.shape[2:]))

        self._descend(f"low, convolution {last}", phase, [self.generator.common, head], loss)

    def fit_high(self, phase: Phase) -> None:
        """G^H on features that stay as they are."""

        def loss() -> Tensor:
            batch = self.pairs.draw(phase.batch_size, self.source, high=True)
            with forward_here():
                with torch.no_grad():
                    features = self.generator.common(batch.z, one_hot(batch.labels))
                made = self.generator.high(features)
            return pair_loss(made.float(), batch.real)

        self._descend("high", phase, [self.generator.high], loss)

    def fit_joint(self, phase: Phase) -> None:
        """The whole generator, at both resolutions."""
        self._descend("joint", phase, [self.generator], lambda: self._joint_loss(phase, 1.0)[0])

    def fit_anatomy(self, phase: Phase) -> None:
        """The same, where what is alike in the classes weighs more."""
        self._descend("anatomy", phase, [self.generator], lambda: self._joint_loss(phase, _ANATOMY_WEIGHT)[0])

    def fit_bones(self, phase: Phase) -> None:
        """The same, with the error of bones beside it."""

        def loss() -> Tensor:
            total, made, real = self._joint_loss(phase, _ANATOMY_WEIGHT)
            return total + _BONE_WEIGHT * bone_loss(made, real)

        self._descend("bones", phase, [self.generator], loss)

    def _joint_loss(self, phase: Phase, anatomy: float) -> tuple[Tensor, Tensor, Tensor]:
        """Of both resolutions, `anatomy` as in pair_loss; the volumes, and what they should be."""
        batch = self.pairs.draw(phase.batch_size, self.source, high=True)
        with forward_here():
            features = self.generator.common(batch.z, one_hot(batch.labels))
            low, made = self.generator.low(features).float(), self.generator.high(features).float()
        return pair_loss(made, batch.real, anatomy) + pair_loss(low, batch.low, anatomy), made, batch.real

    def fit_encoder_high(self, phase: Phase) -> None:
        """E^H: eq. 6 of the paper, with the generator's own feature maps as another target."""
        self._descend_encoder("encoder high", phase, self.encoder.high, lambda: self._high_loss()[0])

    def fit_encoder(self, phase: Phase) -> None:
        """E^H and E^G: z from what E^H makes of phantoms, and from the generator's feature maps."""

        def loss() -> Tensor:
            total, found, z = self._high_loss()
            features, drawn = self._features(3)
            with forward_here():
                guesses = self.encoder.ground(torch.cat([found, features]))
            return total + F.smooth_l1_loss(guesses.float(), torch.cat([z, drawn]))

        self._descend_encoder("encoder", phase, self.encoder, loss)

    def _high_loss(self) -> tuple[Tensor, Tensor, Tensor]:
        """E^H's loss on one latent in two classes, its feature maps, and z."""
        batch = self.pairs.draw(1, self.source, high=True)
        real = batch.real + _GRAIN * torch.randn(batch.real.shape, generator=self.source)
        with forward_here():
            with torch.no_grad():
                wanted = self.generator.common(batch.z, one_hot(batch.labels))
            found = self.encoder.slab_features(real)
            made = self.generator.high(found)
        loss = F.l1_loss(made.float(), batch.real) + 0.3 * F.l1_loss(found.float(), wanted.float())
        return loss, found, batch.z

    def _features(self, latents: int) -> tuple[Tensor, Tensor]:
        """The generator's feature maps of so many latents, each in two classes, with a little noise; and z."""
        drawn = self.pairs.draw(latents, self.source, high=False)
        with torch.no_grad(), forward_here():
            features = self.generator.common(drawn.z, one_hot(drawn.labels))
        return features + 0.1 * torch.randn(features.shape, generator=self.source).to(features), drawn.z

    def _descend_encoder(self, name: str, phase: Phase, part: nn.Module, loss: Callable[[], Tensor]) -> None:
        self.generator.requires_grad_(False)
        self._descend(name, phase, [part], loss)
        self.generator.requires_grad_(True)

    def _descend(self, name: str, phase: Phase, parts: list[nn.Module], loss: Callable[[], Tensor]) -> None:
        """Optimise and leave the average of the weights behind."""
        networks = nn.ModuleList(parts)
        average = ParameterAverage(networks, 0.98)
        for _ in optimise(name, phase, optimisers_of(list(networks.parameters())), loss, self.tell):
            average.update()
        average.apply(networks)
