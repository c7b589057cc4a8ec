"""How likely a volume is: its features held against those of the model's scans."""

from typing import get_args

import numpy as np
import torch
from torch import Tensor

from model_store.card import ModelCard
from model_store.features.network import features_of, resized
from model_store.features.reference import Reference, Score
from model_store.features.shipped import ShippedName, shipped_network
from volumes.orientation import from_network, in_network_order

STALE = (
    "The volumes have no realism: the model's reference was made with features that this version does not have; "
    "attach it anew with voxelsmith evaluate."
)
_IN_CACHE = 2**19
"""Voxels that are read at once, so that the processor's cache holds what is made of them: twice as fast."""


class Scorer:
    """A model's reference, and the network whose features it holds."""

    def __init__(self, card: ModelCard, reference: Reference, device: torch.device) -> None:
        """Raises: LookupError, where this version does not have that network."""
        about = reference.about
        name: ShippedName | None = next((one for one in get_args(ShippedName) if one == about.features), None)
        if name is None:
            raise LookupError(about.features)
        self._network = shipped_network(name, device)
        if self._network.sha256 != about.features_sha256:
            raise LookupError(about.features_sha256)
        self._card, self._reference = card, reference

    def score(self, array: Tensor) -> Score:
        """Of a volume (A0, A1, A2) in the network's range, on its device."""
        low, high = self._card.intensity.network_range
        # Before the axes are turned: fewer voxels to copy, and the means are the same.
        small = self._small(array, low, high).sub_(low).div_(high - low)
        turned = np.ascontiguousarray(from_network(small.cpu().numpy(), self._card.axes))
        features = features_of(self._network, torch.from_numpy(turned)[None, None])
        return self._reference.score(features[0].numpy().astype(np.float64))

    def _small(self, array: Tensor, low: float, high: float) -> Tensor:
        """On the features' grid; what is beyond [low, high] is cut off before means are taken."""
        if self._network.shape is None:
            return array.clamp(low, high)
        first, second, third = in_network_order(self._network.shape, self._card.axes)
        at_once = slices = len(array)
        if array.device.type == "cpu" and slices % first == 0:
            step = slices // first
            at_once = step * max(1, _IN_CACHE // (step * array[0].numel()))
        parts = [
            resized(part.clamp(low, high)[None, None], (len(part) * first // slices, second, third))[0, 0]
            for part in torch.split(array, at_once)
        ]
        return torch.cat(parts)
