"""What a recipe yields: where it is, a volume it made, or something it found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from contract.fields import LatentSpace
from contract.state import Placement
from model_store.card import DirectionCard
from model_store.features.reference import Score
from volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Latent:
    """A point of a latent space on the CPU: z (z_dim,), or w (num_styles, w_dim)."""

    space: LatentSpace
    values: Tensor
    seed: int | None = None
    """The seed whose draw it is, where drawing it again gives the same."""
    noise_seed: int | None = None
    """Of the noise that it is rendered with; None: the model's constant noise."""

    @property
    def source(self) -> dict[str, Any]:
        """How to make it again, in the form of an edit's `source`. Styles that are all the same are told once."""
        if self.seed is not None:
            return {"seed": self.seed}
        is_one_row = self.space == "w" and bool((self.values == self.values[:1]).all())
        return {"latent": (self.values[0] if is_one_row else self.values).tolist(), "space": self.space}


@dataclass(frozen=True)
class ScanDigest:
    """A scan that a volume was made from, by the SHA-256 of its file."""

    sha256: str


@dataclass(frozen=True)
class Stage:
    """What happens from now on; `done` of `total` volumes or steps are finished."""

    name: str
    done: int
    total: int
    share: float | None = None
    """Of all the job's work, what is done, where it is known; the time left is estimated from it."""


def are_there() -> None:
    """The voxels are in memory."""


@dataclass(frozen=True, eq=False)
class Product:
    """One volume (X, Y, Z) in the network's range, at its place, and what it was made from."""

    volume: Volume
    made_from: Latent | ScanDigest
    label: str | None = None
    await_voxels: Callable[[], None] = are_there
    """To be called before the voxels are read: they may still be on their way from the device."""
    score: Score | None = None
    seeds_tried: tuple[int, ...] = ()
    """Of a sample that was drawn again while it was unlikely, the seed that it is made from last."""

    @property
    def latent(self) -> Latent:
        """Of a product that was made from one."""
        if not isinstance(self.made_from, Latent):
            raise TypeError("this volume was made from a scan and has no latent")
        return self.made_from


@dataclass(frozen=True)
class Finding:
    """What is no volume: latents (one per scan), where that scan is, metrics, or a fitted direction."""

    latents: list[Latent] | None = None
    placement: Placement | None = None
    warnings: list[str] = field(default_factory=list)
    metrics: dict[str, Any] | None = None
    direction: DirectionCard | None = None


@dataclass(frozen=True, eq=False)
class Finished:
    """A volume that an earlier attempt made from this latent."""

    latent: Latent


Event = Stage | Product | Finding | Finished
