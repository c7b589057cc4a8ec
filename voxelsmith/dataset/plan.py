"""What a data set is to hold: the same plan gives the same files, whatever happens between its first and its last."""

import hashlib
import math
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Required, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from contract.fields import MAX_SEED, OutputOptions
from contract.pointers import located
from contract.requests import GenerateRequest
from contract.seeds import drawn_seed
from volumes.attributes import MeasureName
from volumes.formats import BY_NAME, listed
from volumes.orientation import in_ras_order
from voxelsmith.problems import DataSetRefused

Layout = Literal["plain", "bids", "nnunet"]
FORMATS = {"bids": ("nii.gz", "nii"), "nnunet": ("nii.gz", "nrrd", "mha")}
"""That the readers of a layout take."""
MAX_COUNT = 1_000_000
PER_JOB = 16
"""Volumes. Few enough for a job to end within minutes, many enough for its overhead not to count."""


class Wishes(TypedDict, total=False):
    """What may be asked of a data set."""

    count: Required[int]
    seed: int | None
    """Volume k has seed + k. None: the one that the folder began with, or else drawn."""
    classes: str | None
    """`balanced`, the default, for all in turn, or some with commas between; a name may stand several times."""
    truncation: float | None
    layout: Layout
    suffix: str | None
    """Contrast in BIDS file names."""
    output: Mapping[str, Any] | None
    """As of POST /generate, without previews."""
    measures: Sequence[str]
    """mean_intensity, volume_above:VALUE, volume_below:VALUE, realism."""


class Measured(BaseModel):
    """A measurement that the manifest tells of each volume, of the numbers in its file; `realism` is its job's."""

    model_config = ConfigDict(frozen=True)

    name: MeasureName | Literal["realism"]
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @property
    def column(self) -> str:
        return self.name if self.threshold is None else f"{self.name}_{self.threshold:g}"


class Plan(BaseModel):
    """As it is kept in the folder. `count` may grow later; nothing else changes."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Drawn once: no two folders share jobs on a server."""
    model: str
    model_sha256: str
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    seed: Annotated[int, Field(ge=0)]
    classes: list[str] = []
    """That the volumes go through in turn; none of a model without."""
    truncation: float | None = None
    layout: Layout = "plain"
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{0,32}$")] = ""
    modality: str = ""
    anatomy: str = ""
    output: OutputOptions = OutputOptions()
    measures: list[Measured] = []

    @field_validator("output", mode="before")
    @classmethod
    def _without_previews(cls, output: Any) -> Any:
        return {**output, "preview": False} if isinstance(output, Mapping) else output

    @property
    def is_scored(self) -> bool:
        return any(how.name == "realism" for how in self.measures)

    def class_of(self, index: int) -> str | None:
        return self.classes[index % len(self.classes)] if self.classes else None

    def jobs(self, made: Collection[int] = ()) -> Iterator["Piece"]:
        """In order, without the volumes that are made."""
        turns = max(1, len(self.classes))
        for first in range(0, self.count, PER_JOB * turns):
            block = range(first, min(first + PER_JOB * turns, self.count))
            for turn in range(turns):
                missing = [index for index in block[turn::turns] if index not in made]
                if missing:
                    yield Piece(self, missing)

    def differs(self, other: "Plan") -> list[str]:
        """The fields in which two plans are not of one data set."""
        free = {"id", "count", "modality", "anatomy"}
        return [name for name in Plan.model_fields if name not in free and getattr(self, name) != getattr(other, name)]


class Piece:
    """The volumes of one job: of one class, so that one request can name them."""

    def __init__(self, plan: Plan, indices: Sequence[int]) -> None:
        self.plan, self.indices = plan, list(indices)
        digest = hashlib.sha256(f"{plan.id} {plan.model_sha256} {self.indices}".encode()).hexdigest()[:32]
        self.name = f"{indices[0]:06d}-{indices[-1]:06d}-{digest[:8]}"
        self.key = f"dataset-{digest}"
        """Of its job on a server: the same folder and piece find the job that is there already."""

    @property
    def body(self) -> dict[str, Any]:
        """Of POST /generate."""
        plan = self.plan
        seeds = [plan.seed + index for index in self.indices]
        body: dict[str, Any] = {"model": plan.model, "seeds": seeds, "output": plan.output.model_dump(mode="json")}
        told = {"class_label": plan.class_of(self.indices[0]), "truncation": plan.truncation}
        told |= {"score": True} if plan.is_scored else {}
        return body | {name: value for name, value in told.items() if value is not None}

    def without(self, made: Collection[int]) -> "Piece | None":
        left = [index for index in self.indices if index not in made]
        return Piece(self.plan, left) if left else None


def planned(card: Mapping[str, Any], **wishes: Unpack[Wishes]) -> Plan:
    """The plan that a user's wishes make for the model of a card. Raises: DataSetRefused."""
    if card.get("broken"):
        raise DataSetRefused(f"the model is broken: {card.get('reason')}")
    if "generate" not in card["verbs"]:
        raise DataSetRefused("this model makes no volumes of its own")
    layout, modality = wishes.get("layout", "plain"), str(card["modality"])
    seed = wishes.get("seed")
    fields = {
        "id": secrets.token_hex(16),
        "model": card["name"],
        "model_sha256": card["sha256"],
        "count": wishes["count"],
        "seed": drawn_seed() if seed is None else seed,
        "classes": _classes(list(card.get("classes") or []), wishes.get("classes")),
        "truncation": wishes.get("truncation"),
        "layout": layout,
        "suffix": _suffix(modality, wishes.get("suffix")) if layout == "bids" else "",
        "modality": modality,
        "anatomy": str(card.get("anatomy") or ""),
        "output": wishes.get("output") or {},
        "measures": [_measured(text) for text in wishes.get("measures", ())],
    }
    try:
        plan = Plan.model_validate(fields)
        GenerateRequest.model_validate(Piece(plan, [0]).body)
    except ValidationError as err:
        raise DataSetRefused("this cannot be a data set", located(err, fields)) from err
    if plan.is_scored and not card.get("has_reference"):
        raise DataSetRefused("this model has no reference of scans that gives volumes a realism")
    _check(plan)
    return plan


def voxels_of(card: Mapping[str, Any], plan: Plan) -> int:
    """Of one volume as it is stored, at most."""
    axes = str(card["axes"])
    shape, spacing_mm = in_ras_order(card["shape"], axes), in_ras_order(card["spacing_mm"], axes)
    return math.prod(plan.output.sides(shape, spacing_mm))


def _check(plan: Plan) -> None:
    if plan.seed + plan.count - 1 > MAX_SEED:
        raise DataSetRefused("the last volume's seed is too large", [("/seed", f"at most {MAX_SEED - plan.count + 1}")])
    formats = FORMATS.get(plan.layout)
    if formats and plan.output.format not in formats:
        told = f"of the layout {plan.layout} must be {listed(formats)}"
        raise DataSetRefused("the layout has no such files", [("/output/format", told)])
    row = BY_NAME[plan.output.format]
    if any(how.name != "realism" for how in plan.measures) and (row.reader is None or row.is_series):
        raise DataSetRefused("volumes of that format cannot be read again to be measured")


def _suffix(modality: str, wished: str | None) -> str:
    if wished is None and modality != "MR":
        raise DataSetRefused("BIDS has names for MR alone: choose another layout, or name a suffix")
    return wished or "T1w"


def _classes(known: list[str], wished: str | None) -> list[str]:
    if wished in (None, "balanced"):
        return known
    if not known:
        raise DataSetRefused("this model has no classes")
    names = str(wished).split(",")
    if not set(names) <= set(known):
        raise DataSetRefused(f"classes are balanced, or some of {', '.join(known)} with commas between")
    return names


def _measured(text: str) -> Measured:
    name, _, threshold = text.partition(":")
    try:
        if (name in ("mean_intensity", "realism")) == bool(threshold):
            raise ValueError
        return Measured.model_validate({"name": name, "threshold": float(threshold) if threshold else None})
    except ValueError as err:
        raise DataSetRefused("a measure is mean_intensity, volume_above:VALUE, volume_below:VALUE or realism") from err
