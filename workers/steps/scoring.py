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
        unit = torch.sub(array, low).div_(high - low).clamp_(0, 1)[None, None]
        shape = self._network.shape
        # Before the axes are turned: fewer voxels to copy, and the means are the same.
        small = unit if shape is None else resized(unit, in_network_order(shape, self._card.axes))
        turned = np.ascontiguousarray(from_network(small[0, 0].cpu().numpy(), self._card.axes))
        features = features_of(self._network, torch.from_numpy(turned)[None, None])
        return self._reference.score(features[0].numpy().astype(np.float64))
