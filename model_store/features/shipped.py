"""Feature networks that need nothing beside this package, by name: a worker has them, and `voxelsmith evaluate`."""

from typing import Literal

import torch

from model_store.features.distortion_network import DistortionNetwork
from model_store.features.network import FeatureNetwork
from model_store.features.random_network import RandomNetwork

ShippedName = Literal["distortion", "random"]


def shipped_network(name: ShippedName, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The network of a name, on a device."""
    return DistortionNetwork(device) if name == "distortion" else RandomNetwork(device)
