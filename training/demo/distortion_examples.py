"""What an iteration of the recipe of `distortion` sees: public heads and phantom thoraces, bent, lit and cropped anew,
each whole and distorted three times, with the place among the features that each should come to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model_store.features.distortion_network import FEATURES
from model_store.features.network import resized
from model_store.folder import replacing
from training.demo.distortions import COORDINATES, Places, distorted, gaussian, smooth
from training.megan.augmentation import deformation, deformed
from training.phantoms.phantom import thorax
from volumes.intensity import to_unit, window_of

SIDE = 96
"""Of what is bent, before it comes to 64^3."""
PHANTOMS = 64
SPACING_MM = (4.1, 4.1, 3.5)
WINDOW = (-1024.0, 600.0)
QUANTILES = (0.0, 0.997)
HEADS = 0.6
"""Share of the examples."""
APART = 1.25
"""Anatomies lie so far from the middle, on either side."""
SKULL = 0.5
"""Of a stripped head, from a whole one."""
ATTRIBUTE = 0.3
"""One standard deviation of a phantom's attribute."""
LAYOUT = 0.6
"""Root mean square of the layout's coordinates together."""
DISTORTED = 3
"""Per whole volume."""


@dataclass(frozen=True)
class Subject:
    """unit: (96, 96, 96) in [0, 1]; or HU, where `is_head` is false."""

    values: NDArray[np.float16]
    is_head: bool
    places: Places


@dataclass(frozen=True)
class Layout:
    """Principal components of volumes at 16^3, about the mean of their anatomy."""

    means: dict[bool, Tensor]
    """By whether it is a head: (4096,)."""
    axes: Tensor
    """(4096, 48), scaled."""

    def of(self, unit: Tensor, is_head: bool) -> Tensor:
        """(64, 64, 64) -> (48,)."""
        return (_coarse(unit) - self.means[is_head]) @ self.axes


def phantom_subjects(cache: Path, count: int = PHANTOMS) -> list[Subject]:
    """Of seeds 10,000 on, so that no test's phantom is among them; made once."""
    volumes, truth = [], []
    for seed in range(10_000, 10_000 + count):
        path = cache / f"{seed}.npz"
        if not path.exists():
            made = thorax(seed, (SIDE,) * 3, SPACING_MM)
            attributes = [made.lung_volume_ml, made.bone_volume_ml, made.severity]
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez(file, hu=made.array.astype(np.float16), attributes=attributes)
        with np.load(path) as stored:
            volumes.append(stored["hu"])
            truth.append(stored["attributes"])
    table = np.array(truth, np.float64)
    scores = ATTRIBUTE * (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-9)
    named = [dict(zip(("lung", "bone", "emphysema"), map(float, row), strict=True)) for row in scores]
    return [Subject(hu, False, {"anatomy": -APART, **row}) for hu, row in zip(volumes, named, strict=True)]


def head_subject(unit: NDArray[np.float32], is_stripped: bool) -> Subject:
    """unit: (96, 96, 96) in [0, 1], RAS order."""
    return Subject(unit.astype(np.float16), True, {"anatomy": APART, "stripped": SKULL * is_stripped})


class DistortionExamples:
    """Batch i is a function of (seed, i) and of the subjects alone."""

    def __init__(self, heads: list[Subject], thoraces: list[Subject], seed: int = 0, layout_from: int = 400) -> None:
        """`layout_from`: how many whole volumes the layout is found from."""
        self.heads, self.thoraces, self.seed = heads, thoraces, seed
        self.layout = self._layout(layout_from)

    def batch(self, index: int, bases: int) -> tuple[Tensor, Tensor]:
        """(n, 1, 64, 64, 64) in [0, 1] and (n, 64), n = 4 * bases."""
        volumes, wanted = [], []
        for k in range(bases):
            random = np.random.default_rng([self.seed, index, k])
            subject = self._subject(random)
            whole = varied(subject, random)
            layout = self.layout.of(whole, subject.is_head)
            made = [distorted(whole, subject.places, subject.is_head, random) for _ in range(DISTORTED)]
            for volume, places in [(whole, subject.places), *made]:
                volumes.append(lit(volume, random))
                # Of what is a body no more there is no layout either.
                wanted.append(torch.cat([_vector(places), layout * (places["anatomy"] != 0)]))
        return torch.stack(volumes)[:, None], torch.stack(wanted)

    def _subject(self, random: np.random.Generator) -> Subject:
        group = self.heads if random.random() < HEADS else self.thoraces
        return group[int(random.integers(len(group)))]

    def _layout(self, count: int) -> Layout:
        found: dict[bool, list[Tensor]] = {True: [], False: []}
        for k in range(count):
            random = np.random.default_rng([self.seed, k, 0, 1])
            subject = self._subject(random)
            found[subject.is_head].append(_coarse(varied(subject, random)))
        means = {kind: torch.stack(rows).mean(0) for kind, rows in found.items()}
        about = torch.cat([torch.stack(rows) - means[kind] for kind, rows in found.items()])
        _, spread, axes = torch.linalg.svd(about, full_matrices=False)
        kept = FEATURES - len(COORDINATES)
        axes, total = axes[:kept], float((spread[:kept] ** 2).sum() / len(about)) ** 0.5
        padded = torch.zeros(kept, axes.shape[1])
        padded[: len(axes)] = axes  # a test has fewer volumes than components
        return Layout(means, padded.T * (LAYOUT / total))


def varied(subject: Subject, random: np.random.Generator) -> Tensor:
    """Another volume of much the same kind, (64, 64, 64) in [0, 1]: bent, in another field of view, in other tones."""
    values = subject.values.astype(np.float32)
    if subject.is_head:
        unit = values[::-1] if random.random() < 0.5 else values
    else:
        low, high = WINDOW if random.random() < 0.5 else window_of(values, QUANTILES)
        unit = to_unit(values, low, high)
    x = torch.from_numpy(np.ascontiguousarray(unit))
    if random.random() < 0.7:
        x = (deformed(x * 2 - 1, deformation(random)) + 1) / 2
    x = _in_view(x, random)
    x = toned(x, random) if subject.is_head else x ** float(np.exp(random.normal(0, 0.1)))
    return smooth(x, float(random.uniform(0, 0.35))).clamp(0, 1)


def lit(x: Tensor, random: np.random.Generator) -> Tensor:
    """A little brighter or darker, with as much noise as scans have."""
    gain, level = float(np.exp(random.normal(0, 0.05))), 0.012 * float(random.random())
    return (x * gain + level * gaussian(x, random)).clamp(0, 1)


def toned(x: Tensor, random: np.random.Generator) -> Tensor:
    """Another gamma, and in a quarter of the cases the contrast of another sequence; black stays black."""
    if random.random() < 0.25:
        knots = np.concatenate([[0.0], random.uniform(0.1, 1.0, 4)])
        made = np.interp(x.numpy(), np.linspace(0, 1, 5), knots / knots.max())
        return torch.from_numpy(made.astype(np.float32))
    return x.clamp(0, 1) ** float(np.exp(random.normal(0, 0.25)))


def _in_view(x: Tensor, random: np.random.Generator) -> Tensor:
    """Cut or padded by up to a sixth on each side, and brought to 64^3, by means or between voxels."""
    low, high = (random.integers(-SIDE // 12, SIDE // 6, 3) for _ in range(2))
    pads = [int(-edge) for axis in (2, 1, 0) for edge in (low[axis], high[axis])]
    seen = F.pad(x, pads)[None, None]
    if random.random() < 0.5:
        return resized(seen, (64, 64, 64))[0, 0]
    return F.interpolate(seen, size=(64, 64, 64), mode="trilinear", align_corners=False)[0, 0]


def _vector(places: Places) -> Tensor:
    return torch.tensor([places.get(name, 0.0) for name in COORDINATES])


def _coarse(unit: Tensor) -> Tensor:
    return F.avg_pool3d(unit[None, None], 4).flatten()
