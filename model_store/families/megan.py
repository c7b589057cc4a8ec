"""MEGAN (Uzunova et al.) as it is served. Module keys are the weight file's keys."""

from collections.abc import Iterator

import torch
from torch import nn

from model_store.card import Task, TranslatorCard
from model_store.families.base import ServedTranslator
from model_store.loaded_model import Shape
from model_store.networks.cascade import BATCH, Cascade
from model_store.networks.patches import PATCH
from model_store.sizes.megan import MEGANSizes
from model_store.translator import Drawing, Guide, Pass, Slab

_HELD = 2.6
"""Feature maps of the first width that a network holds at its worst moment, with what a convolution takes beside."""


class ServedMEGAN(ServedTranslator):
    """Edges to an image, whole at the lowest scale and in patches above."""

    sizes = MEGANSizes

    def __init__(self, card: TranslatorCard) -> None:
        super().__init__(card)
        self.network = MEGANSizes.of(card)
        scales = [self.network.lr, *self.network.hr]
        self.cascade = Cascade.build(
            [scale.width for scale in scales],
            [scale.blocks for scale in scales],
            self.network.edges_at_twice,
            self.network.adds_coarse,
        )

    @property
    def drawing(self) -> Drawing:
        sizes = self.network
        return Drawing(sizes.lr_size, sizes.doublings, sizes.edges.sigma, sizes.edges.low, sizes.edges.high)

    @property
    def batch(self) -> int:
        """Patches at a time."""
        return 1 if self.low_memory else BATCH

    def settle(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)

    def work_bytes(self, task: Task, shape: Shape) -> int:  # noqa: ARG002 -- the same for every scan: that is the point
        """Of LR on the whole image or of a batch of patches, whichever is more."""
        side = self.network.lr_size * (2 if self.network.edges_at_twice else 1)
        whole = self.network.lr.width * side**3
        patches = self.batch * PATCH**3 * max([scale.width for scale in self.network.hr], default=0)
        return int(_HELD * max(whole, patches) * self.dtype.itemsize)

    def translate(self, guide: Guide) -> Iterator[Pass | Slab]:
        """As the protocol says. A shape is the lowest scale's times 2^doublings, with room for a patch above it."""
        unit, least = 4 << guide.doublings, PATCH // 2 << guide.doublings
        if not 0 <= guide.doublings <= self.network.doublings:
            raise ValueError(f"expected 0 to {self.network.doublings} doublings, got {guide.doublings}")
        if any(side % unit or side < least for side in guide.shape):
            raise ValueError(f"expected sides of multiples of {unit} from {least} on, got {guide.shape}")
        return self.cascade.translate(guide, self.batch)
