"""What GET /models, /directions and /readyz answer, for the schema: the answers themselves are written as they are."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model_store.card import ModelCard, TranslatorCard, Verb
from model_store.last_evaluation import LastEvaluation


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usable(BaseModel):
    """What stands beside the card of a model that can be used: what it can do, and the digest of its weights."""

    # The card has properties of these names.
    can: list[Verb] = Field(alias="verbs")
    weights_sha256: str = Field(alias="sha256")
    status: Literal["ready"]
    broken: Literal[False]
    reason: None
    evaluation: LastEvaluation | None
    """By `voxelsmith evaluate --attach`; null where the model's folder holds none of these weights."""


class ReadyModel(Usable, ModelCard):
    """A generator."""

    looks_inside: bool = Field(alias="is_open")
    """Whether SeFa, mixing and refinement can be asked of it: they need the network's layers or its gradient."""
    is_scored: bool = Field(alias="has_reference")
    """Whether the model's folder holds features of its scans, so that its volumes can have `realism`."""


class ReadyTranslator(Usable, TranslatorCard):
    """A model that makes volumes of scans. It has no latent and no shape of its own."""


class UnusableModel(Shown):
    """A model folder that cannot be used, and why."""

    name: str
    status: Literal["broken"]
    broken: Literal[True]
    reason: str


class ModelList(Shown):
    items: list[ReadyModel | ReadyTranslator | UnusableModel]


class DirectionSummary(Shown):
    """A named latent direction without its vector."""

    name: str
    method: Literal["regression", "sefa"]
    attribute: str
    space: Literal["z", "w"]
    std: float
    slope: float | None
    intercept: float | None
    transform: Literal["none", "log"]
    ridge: float | None
    groups: int | None
    r2: float | None
    unit_rows: bool
    units: str
    model_sha256: str
    shipped: bool
    """It came with the model and stays."""
    stale: bool
    """It was made for other weights than the model has now."""


class Direction(DirectionSummary):
    vector: list[float]


class DirectionList(Shown):
    items: list[DirectionSummary]


class Readiness(Shown):
    status: Literal["ready"]
    queue: bool
    store: bool
    workers: int
    draining: int
    """Workers that end their jobs and take no others."""
    durable: bool
    """Whether jobs survive a restart."""
