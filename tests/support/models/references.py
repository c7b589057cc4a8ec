"""References for model folders of tests, as `voxelsmith evaluate --attach` leaves them."""

from pathlib import Path
from typing import Any

import numpy as np

from model_store.card import AnyCard
from model_store.catalogue import read_card
from model_store.features.attachment import put_reference
from model_store.features.reference import About, reference_of
from model_store.features.shipped import shipped_network


def about(card: AnyCard, **other: Any) -> About:
    """What a reference of a model says of itself, by the features that ship."""
    network = shipped_network("distortion")
    told = {"features": network.name, "features_sha256": network.sha256, "model_sha256": card.sha256}
    return About(**{**told, "among": "train", "preparation": {}, "software_version": "1", **other})


def write_any_reference(folder: Path) -> None:
    """Of scans that never were: by it volumes have some realism."""
    rows = np.random.default_rng(0).random((8, 64))
    put_reference(folder, reference_of(rows, about(read_card(folder))))
