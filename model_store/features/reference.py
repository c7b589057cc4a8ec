"""reference.safetensors: features of a model's scans, by which its volumes get a score. No voxels, no names.

Beside the features (n, d) as float16 it has of each scan the distance to its k-th nearest other scan (`radii`) and to
the nearest one (`gaps`), so that a worker need not compare all with all. A row is known by its number.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model_store.card import REFERENCE, ModelCard
from model_store.faults import FolderFault, UnreadableModel
from model_store.features.neighbours import FEWEST_REALISM, REALISM_K, distances, kth, realism_within

MOST_SCANS = 2000
_TYPES = {"features": np.float16, "radii": np.float32, "gaps": np.float32}
_KEY = "reference"
"""Of the file's metadata."""


class About(BaseModel):
    """What the file says of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    features: str
    """Name of the network."""
    features_sha256: str
    model_sha256: str
    """Of the weights whose scans these are."""
    among: Literal["train", "reference"]
    """Whether the model was trained on these scans."""
    preparation: dict[str, object]
    """How they came to the model's grid."""
    software_version: str


@dataclass(frozen=True)
class Score:
    """Of one volume."""

    realism: float
    index: int
    """The nearest scan's row."""
    distance: float
    is_nearer: bool
    """Than that scan is to the scan nearest to it, as a copy is."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A model's scans as its volumes are held against them."""

    about: About
    features: NDArray[np.float64]
    """(n, d)."""
    radii: NDArray[np.float64]
    gaps: NDArray[np.float64]

    def score(self, features: NDArray[np.float64]) -> Score:
        """Of a volume's features (d,): Kynkaanniemi et al. 2019, equation 3, and the nearest scan."""
        across = distances(features[None], self.features)
        index = int(across[0].argmin())
        distance = float(across[0, index])
        realism = float(realism_within(self.radii, across)[0])
        return Score(_rounded(realism), index, _rounded(distance), distance < float(self.gaps[index]))


def reference_of(features: NDArray[np.float64], about: About) -> Reference:
    """Of scans' features (n, d); of more than 2,000 scans so many, evenly spread over the rows.

    Raises:
        ValueError: too few scans, or numbers that float16 cannot hold.
    """
    if len(features) < FEWEST_REALISM:
        raise ValueError(f"needs {FEWEST_REALISM} scans; there are {len(features)}")
    rows = np.linspace(0, len(features) - 1, min(len(features), MOST_SCANS)).round().astype(int)
    with np.errstate(over="ignore"):
        kept = features[rows].astype(np.float16).astype(np.float64)  # as they are read again
    if not np.isfinite(kept).all():
        raise ValueError("the features are larger than float16 can hold")
    own = distances(kept, kept)
    return Reference(about, kept, kth(own, REALISM_K), kth(own, 1))


def write(path: Path, reference: Reference) -> None:
    """Raises: OSError."""
    arrays = {name: np.ascontiguousarray(getattr(reference, name).astype(kind)) for name, kind in _TYPES.items()}
    save_file(arrays, path, metadata={_KEY: reference.about.model_dump_json()})


def read(path: Path, card: ModelCard) -> Reference:
    """Raises: FolderFault, where it is no reference of this model."""
    try:
        with safe_open(path, framework="np") as file:
            about = About.model_validate_json((file.metadata() or {}).get(_KEY, ""))
            arrays = {name: file.get_tensor(name) for name in _TYPES}
    except OSError as err:
        raise UnreadableModel(f"{REFERENCE} cannot be read") from err
    except (SafetensorError, ValidationError) as err:
        raise FolderFault(f"{REFERENCE} is not a reference of features") from err
    if about.model_sha256 != card.sha256:
        raise FolderFault(f"{REFERENCE} belongs to other weights")
    _check(arrays)
    features, radii, gaps = (arrays[name].astype(np.float64) for name in _TYPES)
    return Reference(about, features, radii, gaps)


def _check(arrays: dict[str, NDArray[np.generic]]) -> None:
    """Raises: FolderFault."""
    count = len(arrays["features"]) if arrays["features"].ndim == 2 else 0
    is_sound = FEWEST_REALISM <= count <= MOST_SCANS and all(
        array.dtype == _TYPES[name]
        and bool(np.isfinite(array).all())
        and (name == "features" or array.shape == (count,))
        for name, array in arrays.items()
    )
    if not is_sound:
        raise FolderFault(f"{REFERENCE} is not a reference of features")


def _rounded(value: float) -> float:
    """To six figures: what the networks' own rounding leaves of it."""
    return float(f"{value:.6g}")
