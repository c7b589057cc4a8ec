"""What requests are made of: names, numbers, latents, sources and options, refused where they are malformed."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from volumes.formats import BY_NAME, FileFormat, OutputType
from volumes.grids.field_of_view import LEAST_MM, LEAST_SIDE, MAX_SIDE, MOST_MM, Shape, is_sound, sides_by_spacing

NAME_PATTERN = r"^(?!.*\.(?:\.|$))[a-z0-9][a-z0-9._-]{0,63}$(?!\n)"
"""No two dots in a row and none at the end: names become parts of the store's keys, with an ending behind them."""
MAX_SAMPLES = 64
MAX_SEED = 2**53 - 1 - MAX_SAMPLES  # sample k uses seed + k, and every JSON reader must hold it exactly
MAX_LATENT_LENGTH = 65_536
MAX_FLOAT32 = 3.4028234663852886e38

# pydantic's own regex engine has no look-ahead, so names are checked by Python's.
_CONFIG = ConfigDict(
    frozen=True,
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    regex_engine="python-re",
    use_attribute_docstrings=True,
)

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Series = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Number of a DICOM series, as its archive gives it."""
Number = Annotated[float, Field(ge=-MAX_FLOAT32, le=MAX_FLOAT32)]
"""What a network computes with; anything larger would be infinite to it."""
Vector = Annotated[list[Number], Field(min_length=1, max_length=MAX_LATENT_LENGTH, fail_fast=True)]
Latent = Vector | Annotated[list[Vector], Field(min_length=1, max_length=64, fail_fast=True)]
"""A vector (z_dim,) or, in a style space, one row per style (num_styles, w_dim)."""


def _as_list(latents: Any) -> Any:
    """One latent as a list of one. Where numbers stand for latents, each of them would be an error."""
    is_one = isinstance(latents, list) and latents and type(latents[0]) in (int, float)
    return [latents] if is_one else latents


OneAsList = BeforeValidator(_as_list)
"""Of a list of latents: a vector alone is one."""
LatentSpace = Literal["z", "w"]
Noise = Literal["constant", "random"]
Intensity = Literal["stored", "unit"]
Origin = Literal["seed", "z", "w", "job"]
"""What a volume is made from: a seed, a latent of one of the spaces, or what an earlier job knows."""
ClassLabel = Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=64)]
"""Index or name of a class of the model."""


class Part(BaseModel):
    """Base of every part of a request: frozen, strict, no field that is not known."""

    model_config = _CONFIG


class JobSource(Part):
    job: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
    index: Annotated[int, Field(ge=0, lt=4096)] = 0

    @property
    def origin(self) -> Origin:
        return "job"


Millimetres = Annotated[float, Field(ge=LEAST_MM, le=MOST_MM)]
Side = Annotated[int, Field(ge=LEAST_SIDE, le=MAX_SIDE)]
Sides = Annotated[list[Side], Field(min_length=3, max_length=3)]


class SpacingGrid(Part):
    """The volume's own field of view, in voxels of this size."""

    spacing_mm: Annotated[list[Millimetres], Field(min_length=3, max_length=3)]
    """Along x, y and z of the stored array."""

    def sides(self, shape: Shape, spacing_mm: Sequence[float]) -> Shape:
        return sides_by_spacing(shape, spacing_mm, self.spacing_mm)


class ShapeGrid(Part):
    """The volume's own field of view, in so many voxels."""

    shape: Sides
    """Along x, y and z of the stored array."""

    def sides(self, shape: Shape, spacing_mm: Sequence[float]) -> Shape:  # noqa: ARG002
        x, y, z = self.shape
        return x, y, z


class LikeGrid(Part):
    """The grid of an earlier job's volume."""

    like: JobSource

    def sides(self, shape: Shape, spacing_mm: Sequence[float]) -> Shape:  # noqa: ARG002
        """Not known before the job is looked up."""
        return shape


class PlacedGrid(ShapeGrid):
    """A grid spelt out, such as a reference's."""

    affine: Annotated[
        list[Annotated[list[Number], Field(min_length=4, max_length=4)]], Field(min_length=4, max_length=4)
    ]
    """Voxel index to RAS+ millimetres."""

    @field_validator("affine")
    @classmethod
    def _sound(cls, affine: list[list[float]]) -> list[list[float]]:
        if not is_sound(affine):
            raise ValueError("must be an affine that can be inverted, with a last row of 0 0 0 1")
        return affine


def _kind_of_grid(value: Any) -> str | None:
    for key in ("affine", "spacing_mm", "shape", "like"):
        if (isinstance(value, dict) and key in value) or hasattr(value, key):
            return key
    return None


GridChoice = Annotated[
    Annotated[SpacingGrid, Tag("spacing_mm")]
    | Annotated[ShapeGrid, Tag("shape")]
    | Annotated[LikeGrid, Tag("like")]
    | Annotated[PlacedGrid, Tag("affine")],
    Discriminator(
        _kind_of_grid,
        custom_error_type="grid",
        custom_error_message="must be an object with one of 'spacing_mm', 'shape' or 'like'; 'shape' may have 'affine'",
    ),
]


class OutputOptions(Part):
    format: FileFormat = "nii.gz"
    """Of the volumes."""
    dtype: OutputType = "int16"
    """Of the voxels."""
    intensity: Intensity = "stored"
    """The card's units, or [0, 1] of the network."""
    preview: bool = True
    """A PNG beside each volume."""
    grid: GridChoice | None = None
    """Of each stored volume; null: the model's own, and the scan's for what lies on a scan."""
    crop: Literal["foreground"] | None = None
    """Cut each volume to what stands out in it, before a spacing or a shape is applied."""

    @property
    def is_resampled(self) -> bool:
        """Whether volumes are stored otherwise than they are made."""
        return self.grid is not None or self.crop is not None

    def sides(self, shape: Shape, spacing_mm: Sequence[float]) -> Shape:
        """Of the volume that is stored, at most, where one of these is made."""
        return shape if self.grid is None else self.grid.sides(shape, spacing_mm)

    @model_validator(mode="after")
    def _is_cut_or_placed(self) -> Self:
        if self.crop is not None and isinstance(self.grid, LikeGrid | PlacedGrid):
            raise ValueError("a grid with a place of its own is not cropped; give crop with a spacing or a shape")
        return self

    @model_validator(mode="after")
    def _is_held(self) -> Self:
        if self.dtype not in BY_NAME[self.format].dtypes:
            raise ValueError("files of that format do not hold voxels of that type")
        return self


class PreprocessOptions(Part):
    """How a scan is brought to the model; a field left null takes the card's value."""

    trim_blank_slices: bool | None = None
    window: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """[low, high] in the scan's own stored units, mapped to the network's range with clipping."""
    orientation: Annotated[str, Field(pattern=r"^[RLAPSI]{3}$(?!\n)")] | None = None
    """Axis codes of the scan's array, for a file whose own orientation is wrong: overrides its affine's directions."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError("window must be [low, high] with low < high")
        if self.orientation is not None and len({"RLAPSI".index(c) // 2 for c in self.orientation}) != 3:
            raise ValueError("orientation must name each of left-right, front-back and up-down once")
        return self


class SeedSource(Part):
    seed: Seed

    @property
    def origin(self) -> Origin:
        return "seed"


class LatentSource(Part):
    latent: Latent
    space: LatentSpace = "z"

    @property
    def origin(self) -> Origin:
        return self.space


def _kind_of_source(value: Any) -> str | None:
    for key in ("seed", "latent", "job"):
        if (isinstance(value, dict) and key in value) or hasattr(value, key):
            return key
    return None


Source = Annotated[
    Annotated[SeedSource, Tag("seed")] | Annotated[LatentSource, Tag("latent")] | Annotated[JobSource, Tag("job")],
    Discriminator(
        _kind_of_source,
        custom_error_type="source",
        custom_error_message="must be an object with one of 'seed', 'latent' or 'job'",
    ),
]
