"""Central slices of volumes by plane, and how far those of two sets are apart (Split&Shuffle-GAN, section IV-A)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distances.frechet import Features, frechet
from model_store.features.network import features_of
from model_store.features.random_network import RandomNetwork

PLANES = {"axial": 2, "sagittal": 0, "coronal": 1}
"""The axis across which a plane lies, of volumes (X, Y, Z)."""
SIDE = 64
"""Of a slice as the network sees it."""


def slice_features(volumes: Iterable[NDArray[np.float32]]) -> dict[str, Features]:
    """(n, 624) of the central slices in each plane of volumes (X, Y, Z) in [0, 1]: those of `random` on one slice.

    The paper takes Inception v3, whose weights are not ours to ship: its figures are on another scale.
    """
    network = RandomNetwork(shape=(SIDE, SIDE, 1))
    rows: dict[str, list[torch.Tensor]] = {plane: [] for plane in PLANES}
    for volume in volumes:
        for plane, axis in PLANES.items():
            middle = np.ascontiguousarray(volume.take(volume.shape[axis] // 2, axis=axis), dtype=np.float32)
            rows[plane].append(features_of(network, torch.from_numpy(middle)[None, None, :, :, None])[0])
    return {plane: torch.stack(found).double().numpy() for plane, found in rows.items()}


@dataclass(frozen=True)
class Slices:
    """Frechet distances of central slices, and their mean."""

    axial: float
    sagittal: float
    coronal: float

    @property
    def mean(self) -> float:
        return (self.axial + self.sagittal + self.coronal) / 3


def apart(reference: dict[str, Features], made: dict[str, Features]) -> Slices:
    return Slices(**{plane: frechet(reference[plane], made[plane]) for plane in PLANES})
