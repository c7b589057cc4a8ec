"""The critic of both progressive families, and the discriminator of latents (bone paper, sections 3.2 and 3.5)."""

from collections.abc import Sequence

from torch import Tensor, nn

from model_store.networks.equalised import EqualisedConv3d, EqualisedFromImage, EqualisedLinear, leaky_relu
from model_store.networks.progressive import check_stage, faded, halved
from model_store.networks.slabs import InSlabs, Layer, downsampled


class Critic(InSlabs):
    """f: strided convolutions with increasing channels, one per stage, and a last one with one channel (PatchGAN).

    `channels[s - 1]` is what enters stage s's strided convolution, so the generator's list fits as it is.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.stages, self.channels = len(channels), list(channels)
        after = [channels[0], *channels]
        self.from_image = nn.ModuleList(EqualisedFromImage(c) for c in channels)
        self.down = nn.ModuleList(EqualisedConv3d(after[s + 1], after[s], 4, stride=2) for s in range(self.stages))
        self.out = EqualisedConv3d(channels[0], 1, gain=1)

    def features(self, volume: Tensor, stage: int | None = None, alpha: float = 1.0) -> list[Tensor]:
        """What each strided convolution makes of (n, 1, *stage shape), finest first; the last is f_{L-1} of eq. 4."""
        stage = self.stages if stage is None else stage
        check_stage(stage, self.stages, alpha)
        layers: list[Layer] = [(self.from_image[stage - 1], _activated), (self.down[stage - 1], _activated)]
        x = downsampled(volume, layers, self.channels[stage - 1], self.slab_bytes)
        if stage > 1 and alpha < 1:
            x = faded(_activated(self.from_image[stage - 2](halved(volume))), x, alpha)
        found = [x]
        for layer in reversed(self.down[: stage - 1]):
            found.append(_activated(layer(found[-1])))
        return found

    def forward(self, volume: Tensor, stage: int | None = None, alpha: float = 1.0) -> Tensor:
        """(n, 1, *stage shape) -> scores (n,): the mean over the patches."""
        patches: Tensor = self.out(self.features(volume, stage, alpha)[-1])
        return patches.flatten(1).mean(1)


def _activated(x: Tensor, first: int = 0) -> Tensor:  # noqa: ARG001 -- the same at every slice
    return leaky_relu(x)


class LatentDiscriminator(nn.Module):
    """D_W (eq. 8), as in [31]: whether w comes from the mapping network or from the encoder."""

    def __init__(self, w_dim: int, layers: int = 4) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(EqualisedLinear(w_dim, w_dim) for _ in range(layers - 1))
        self.out = EqualisedLinear(w_dim, 1, gain=1)

    def forward(self, w: Tensor) -> Tensor:
        """(n, w_dim) -> logits (n,), of which D_W is the sigmoid."""
        for layer in self.hidden:
            w = leaky_relu(layer(w))
        logits: Tensor = self.out(w)
        return logits[:, 0]
