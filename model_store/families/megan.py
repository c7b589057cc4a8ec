"""MEGAN (Uzunova et al.) as it is served. Module keys are the weight file's keys."""

from collections.abc import Iterator

import torch
from torch import nn

from model_store.card import Task, TranslatorCard
from model_store.families.base import ServedTranslator
from model_store.loaded_model import Shape
from model_store.networks.cascade import BATCH, Cascade
from model_store.networks.megan_entry import PLANES
from model_store.networks.patches import PATCH
from model_store.sizes.megan import MEGANSizes
from model_store.translator import Drawing, Guide, Pass, Slab

_HELD = 2.6
"""Feature maps of the first width that a network holds at its worst moment, with what a convolution takes beside."""
_LEAVING = 18.5
"""The last layer has seven maps of its own, padded ones and sums, beside those of the first width."""
_KEPT = 1.25
"""Of the first width, where features skip: full size and a quarter-volume's twice as many."""
_HELD_OF_SLAB = 2.2
"""The same of a slab of LR's first features, while their halves gather beside it."""


class ServedMEGAN(ServedTranslator):
    """Edges to an image, whole at the lowest scale and in patches above."""

    sizes = MEGANSizes

    def __init__(self, card: TranslatorCard) -> None:
        super().__init__(card)
        self.network = MEGANSizes.of(card)
        self.cascade = Cascade.build(self.network)

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
        side, width = self.network.lr_size, self.network.lr.width
        kept = _KEPT if self.network.skips else 0.0
        whole = (_maps(width) + kept * width) * side**3
        if self.network.edges_at_twice:
            slab = min(PLANES + 2, 2 * side) * (2 * side) ** 2
            whole = max(whole, width * (side**3 + _HELD_OF_SLAB * slab))
        patches = (
            self.batch
            * PATCH**3
            * max([_maps(scale.width) + kept * scale.width for scale in self.network.hr], default=0)
        )
        return int(max(whole, patches) * self.dtype.itemsize)

    def translate(self, guide: Guide) -> Iterator[Pass | Slab]:
        """As the protocol says. A shape is the lowest scale's times 2^doublings, with room for a patch above it."""
        unit, least = 4 << guide.doublings, PATCH // 2 << guide.doublings
        if not 0 <= guide.doublings <= self.network.doublings:
            raise ValueError(f"expected 0 to {self.network.doublings} doublings, got {guide.doublings}")
        if any(side % unit or side < least for side in guide.shape):
            raise ValueError(f"expected sides of multiples of {unit} from {least} on, got {guide.shape}")
        return self.cascade.translate(guide, self.batch)


def _maps(width: int) -> float:
    """Feature maps that are held at the worst moment."""
    return max(_HELD * width, width + _LEAVING)
