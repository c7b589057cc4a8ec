"""An iteration of HA-GAN's training, written plainly: the loop that ours is compared with.

The networks and losses are those of the paper in contiguous float32. Upsampled tensors are made and convolved with 3^3
taps, every update leaves gradients in all networks on its way, and Adam takes its parameters one after the other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from model_store.networks.layers import UpsampleConv3d
from training.hagan import losses
from training.hagan.config import HAGANConfig
from training.hagan.trainer import BETAS, HAGANTrainer


class PlainHAGANTrainer(HAGANTrainer):
    """As HAGANTrainer, without what makes that fast."""

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__(config)
        for network in (self.generator, self.encoder, self.discriminator):
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for layer in self.networks.modules():
            if isinstance(layer, UpsampleConv3d):
                layer.__class__ = PlainUpsampling
        self.optimisers = {
            name: Adam(ours.param_groups[0]["params"], lr=ours.param_groups[0]["lr"], betas=BETAS, foreach=False)
            for name, ours in self.optimisers.items()
        }

    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:  # noqa: ARG002 -- measured without classes
        chance = self.chance(self.iteration, len(real))
        z, start = chance.for_discriminator.z, chance.start
        with torch.no_grad():
            features = self.generator.common(z, None)
            slab, low = self.generator.sub_volume(features, start), self.generator.low(features)
        self._minimise(
            "discriminator", losses.discriminator_loss(self.discriminator, real, slab, low, start, None, None)
        )
        z = chance.for_generator.z
        self._minimise(
            "generator", losses.generator_loss(self.generator, self.discriminator, z, None, start, None, 0.0)
        )
        lambda_1, lambda_2 = self.config.lambda_1, self.config.lambda_2
        found = losses.sub_volume_reconstruction(self.generator, self.encoder, real, start)
        self._minimise("encoder_high", lambda_1 * found)
        found = losses.volume_reconstruction(self.generator, self.encoder, real, start, None)
        self._minimise("encoder_ground", lambda_2 * found)
        self.iteration += 1
        return {}

    def _minimise(self, name: str, loss: Tensor) -> None:
        self.networks.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[name].step()


class PlainUpsampling(UpsampleConv3d):
    """Every voxel eightfold, then 27 taps."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv3d(F.interpolate(x, scale_factor=2), self.weight, self.bias, padding=1)
