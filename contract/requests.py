"""The requests: frozen pydantic models, JSON in and out. Malformed input is refused here and only here."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from volumes.formats import BY_NAME, FileFormat, OutputType

NAME_PATTERN = r"^(?!.*\.(?:\.|$))[a-z0-9][a-z0-9._-]{0,63}$(?!\n)"
"""No two dots in a row and none at the end: names become parts of the store's keys, with an ending behind them."""
MAX_SAMPLES = 64
MAX_SEED = 2**53 - 1 - MAX_SAMPLES  # sample k uses seed + k, and every JSON reader must hold it exactly
MAX_LATENT_LENGTH = 65_536
MAX_FLOAT32 = 3.4028234663852886e38

# pydantic's own regex engine has no look-ahead, so names are checked by Python's.
_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, regex_engine="python-re")

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Number = Annotated[float, Field(ge=-MAX_FLOAT32, le=MAX_FLOAT32)]
"""What a network computes with; anything larger would be infinite to it."""
Vector = Annotated[list[Number], Field(min_length=1, max_length=MAX_LATENT_LENGTH, fail_fast=True)]
Latent = Vector | Annotated[list[Vector], Field(min_length=1, max_length=64)]
"""A vector (z_dim,) or, in a style space, one row per style (num_styles, w_dim)."""
LatentSpace = Literal["z", "w"]


class Request(BaseModel):
    model_config = _CONFIG


class OutputOptions(Request):
    format: FileFormat = "nii.gz"
    dtype: OutputType = "int16"
    intensity: Literal["stored", "unit"] = "stored"
    preview: bool = True

    @model_validator(mode="after")
    def _is_held(self) -> Self:
        if self.dtype not in BY_NAME[self.format].dtypes:
            raise ValueError("files of that format do not hold voxels of that type")
        return self


class SeedSource(Request):
    seed: Seed


class LatentSource(Request):
    latent: Latent
    space: LatentSpace = "z"


class JobSource(Request):
    job: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
    index: Annotated[int, Field(ge=0, lt=4096)] = 0


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


def _check_noise(noise: str, noise_seed: int | None) -> None:
    if noise_seed is not None and noise == "constant":
        raise ValueError("noise_seed goes with noise random")


class GenerateRequest(Request):
    """Body of POST /generate: make num_samples volumes from seeds or latents."""

    model: Name
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    seed: Seed | None = None
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_SAMPLES)] | None = None
    latents: Annotated[list[Latent], Field(min_length=1, max_length=MAX_SAMPLES)] | None = None
    latent_space: LatentSpace = "z"
    truncation: Annotated[float, Field(ge=0)] | None = None
    truncation_cutoff: Annotated[int, Field(ge=1, le=MAX_LATENT_LENGTH)] | None = None
    """psi acts on the first so many styles."""
    class_label: Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=64)] | None = None
    noise: Literal["constant", "random"] = "constant"
    noise_seed: Seed | None = None
    """Of random noise: sample k takes noise_seed + k. Without one it takes the seed that it was made from."""
    output: OutputOptions = OutputOptions()

    @model_validator(mode="after")
    def _noise_is_named_once(self) -> Self:
        _check_noise(self.noise, self.noise_seed)
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("seed", "seeds", "latents") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of seed, seeds, latents; got {' and '.join(given)}")
        listed = self.seeds or self.latents
        if listed and "num_samples" in self.model_fields_set and self.num_samples != len(listed):
            raise ValueError(f"num_samples differs from the number of entries in {given[0]}")
        return self

    @property
    def count(self) -> int:
        """How many volumes this request makes."""
        listed = self.seeds or self.latents
        return len(listed) if listed else self.num_samples


class PreprocessOptions(Request):
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


class EncodeRequest(Request):
    """The `request` part of POST /encode: a scan (the upload, or the volume that `source` names) to its latent."""

    model: Name
    source: Source | None = None
    refine_steps: Annotated[int, Field(ge=0, le=1000)] = 0
    """Of descent from the encoder's guess. A model without an encoder starts at its mean latent, where 0 means 100."""
    reconstruct: bool = False
    class_label: Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=64)] | None = None
    preprocess: PreprocessOptions = PreprocessOptions()
    output: OutputOptions = OutputOptions()


class MoveEdit(Request):
    op: Literal["move"]
    direction: Name
    strengths: Annotated[list[Number], Field(min_length=1, max_length=MAX_SAMPLES)]
    """In standard deviations of the latent along the unit direction."""


class TargetEdit(Request):
    op: Literal["target"]
    direction: Name
    values: Annotated[list[Number], Field(min_length=1, max_length=MAX_SAMPLES)]
    """Of the attribute, in its own units."""


class InterpolateEdit(Request):
    op: Literal["interpolate"]
    target: Source
    steps: Annotated[int, Field(ge=2, le=MAX_SAMPLES)]


class MixEdit(Request):
    op: Literal["mix"]
    target: Source
    crossover: Annotated[int, Field(ge=0, le=MAX_LATENT_LENGTH)]
    """The source's styles in the first so many layers, the target's in the rest."""


Edit = Annotated[MoveEdit | TargetEdit | InterpolateEdit | MixEdit, Field(discriminator="op")]


class EditRequest(Request):
    """Body of POST /edit: one latent, changed."""

    model: Name
    source: Source
    edit: Edit
    truncation: Annotated[float, Field(ge=0)] | None = None
    truncation_cutoff: Annotated[int, Field(ge=1, le=MAX_LATENT_LENGTH)] | None = None
    """psi acts on the first so many styles."""
    class_label: Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=64)] | None = None
    noise: Literal["constant", "random"] = "constant"
    noise_seed: Seed | None = None
    """Of random noise: the same in all volumes of the edit. Without one it is the source's seed."""
    output: OutputOptions = OutputOptions()

    @model_validator(mode="after")
    def _noise_is_named_once(self) -> Self:
        _check_noise(self.noise, self.noise_seed)
        return self


class MeasuredSample(Request):
    source: Source
    value: float


class Measure(Request):
    """A built-in measurement of a generated volume, in the card's stored units."""

    name: Literal["volume_above", "volume_below", "mean_intensity"]
    threshold: float | None = None

    @model_validator(mode="after")
    def _threshold_where_needed(self) -> Self:
        if (self.threshold is None) == self.name.startswith("volume"):
            raise ValueError("volume_above and volume_below take a threshold, mean_intensity takes none")
        return self


class RegressionFit(Request):
    method: Literal["regression"]
    name: Name
    attribute: Annotated[str, Field(min_length=1, max_length=64)]
    samples: Annotated[list[MeasuredSample], Field(min_length=4, max_length=4096)] | None = None
    measure: Measure | None = None
    num_samples: Annotated[int, Field(ge=8, le=512)] = 64

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.samples is None) == (self.measure is None):
            raise ValueError("give either samples or measure")
        return self


class SefaFit(Request):
    method: Literal["sefa"]
    name_prefix: Annotated[str, Field(pattern=NAME_PATTERN, max_length=48)]
    count: Annotated[int, Field(ge=1, le=32)] = 4


Fit = Annotated[RegressionFit | SefaFit, Field(discriminator="method")]
"""Body of POST /models/{name}/directions."""


class FitDirectionRequest(Request):
    """A fit with the model's name from the path (the HTTP body holds `fit`'s fields alone)."""

    model: Name
    fit: Fit


AnyRequest = GenerateRequest | EncodeRequest | EditRequest | FitDirectionRequest
REQUESTS: dict[str, type[AnyRequest]] = {
    "generate": GenerateRequest,
    "encode": EncodeRequest,
    "edit": EditRequest,
    "fit_direction": FitDirectionRequest,
}
