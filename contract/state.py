"""What a job is: its states and the one reply envelope for every kind of job."""

import math
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JobKind = Literal["generate", "encode", "edit", "translate", "fit_direction"]
Priority = Literal["high", "normal", "low"]
SHOWN = frozenset({"image/png", "application/json"})
"""Media types that a browser may show; everything else is for saving."""


class JobState(StrEnum):
    """The closed set of states. The last four are final and never change again."""

    QUEUED = "queued"
    """Accepted, on disk in the queue's log, not yet claimed by a worker."""
    RUNNING = "running"
    """Claimed by one worker, whose lease is being renewed."""
    SUCCEEDED = "succeeded"
    """Every result is stored and published."""
    FAILED = "failed"
    """Given up; `error` says why."""
    CANCELED = "canceled"
    """Stopped on request; results finished before that are kept."""
    EXPIRED = "expired"
    """Its results were removed after their time to live."""

    @property
    def is_terminal(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class Progress(Envelope):
    done: int = 0
    total: int = 0
    left_s: float | None = None
    """An estimate of the seconds to the job's end, while it runs; null where none can be made."""


class JobError(Envelope):
    """Why a job failed: a stable code and a sentence without paths, hosts or exception classes."""

    code: str
    detail: str


class Nearest(Envelope):
    """The scan of a model's reference that a volume is nearest to, by features."""

    index: int
    """Its row in the reference, which names no scans."""
    distance: float
    is_nearer: bool
    """Than that scan is to the scan nearest to it, as a copy is."""


class ResultFile(Envelope):
    """One stored volume (or other file) of a job."""

    name: str
    index: int
    media_type: str
    size_bytes: int
    sha256: str
    shape: list[int] | None = None
    spacing_mm: list[float] | None = None
    latent: dict[str, Any] | None = None
    """How to make this sample again, as an edit's `source`: {"seed": 42} or {"latent": [...], "space": "z"}."""
    noise_seed: int | None = None
    """Of the noise that it was made with; None: the model's constant noise."""
    scan_sha256: str | None = None
    """Of the scan that it was made from, where that was no latent."""
    realism: float | None = None
    """Of a volume that was held against its model's reference: from 1 on it lies among the scans."""
    nearest: Nearest | None = None
    seeds_tried: list[int] | None = None
    """Of a sample of a request with `reject_below`: what was drawn for it, last the seed that it is made from."""
    preview: str | None = None
    label: str | None = None
    """What the file is where the index does not say it: "reconstruction", "reconstruction-scan-grid", "strength=-3"."""
    url: str = ""

    @property
    def disposition(self) -> str:
        """Content-Disposition of its download."""
        return f'{"inline" if self.media_type in SHOWN else "attachment"}; filename="{self.name}"'


class Placement(Envelope):
    """Where a scan is, and where the model's grid lies over it. Affines (4, 4) take voxels to RAS+ millimetres."""

    model_affine: list[list[float]]
    """Of the model's volume, its array in RAS order."""
    scan_shape: list[int]
    scan_affine: list[list[float]]
    assumed: list[str] = Field(default_factory=list)
    """What the scan's file leaves open and how it was taken."""

    @property
    def scan_voxels(self) -> int:
        return math.prod(self.scan_shape)


class Manifest(Envelope):
    """What a job made. Readers follow the manifest alone; a file it does not name does not exist."""

    results: list[ResultFile] = Field(default_factory=list)
    files: list[ResultFile] = Field(default_factory=list)
    """Companions of the results: previews, provenance.json, latents.npy."""
    latents: list[Any] | None = None
    placement: Placement | None = None
    """Of the scan that the latents were found for, or that the volumes lie on."""
    warnings: list[str] = Field(default_factory=list)
    """What may not mean what its user takes it for, in sentences."""
    assumed: list[str] = Field(default_factory=list)
    """What the scan's file leaves open and how it was taken, or what was written in place of a wish, in sentences."""
    metrics: dict[str, Any] | None = None
    timings_s: dict[str, float] = Field(default_factory=dict)
    replay_sha256: str = ""
    """Of all that decides the bytes of the files (docs/decisions/0030): who has the same may go on from them."""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size_bytes for entry in (*self.results, *self.files))


class WebhookState(Envelope):
    """How far the telling of a job's end has come."""

    receiver: str
    """Scheme, host and port alone: a path or a query may hold a secret."""
    state: Literal["waiting", "pending", "delivered", "given_up"] = "waiting"
    """waiting: the job has not ended; pending: it is being told, or will be tried again."""
    attempts: int = 0
    last_status: int | None = None
    """What the receiver answered at last."""
    last_problem: str | None = None
    """Why there was no answer, or why it was given up: a code of docs/webhooks.md."""
    next_try_at: datetime | None = None
    delivered_at: datetime | None = None


class JobRecord(Envelope):
    """The reply envelope of every kind of job (contract: JobRecord)."""

    id: str
    kind: JobKind
    model: str
    model_sha256: str
    state: JobState
    stage: str | None = None
    progress: Progress = Progress()
    volumes: int = 0
    """How many volumes the job stores where it succeeds; known from its acceptance on."""
    queue_position: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    attempts: int = 0
    priority: Priority = "normal"
    request: dict[str, Any]
    latents: list[Any] | None = None
    placement: Placement | None = None
    warnings: list[str] = Field(default_factory=list)
    assumed: list[str] = Field(default_factory=list)
    metrics: dict[str, Any] | None = None
    results: list[ResultFile] = Field(default_factory=list)
    files: list[ResultFile] = Field(default_factory=list)
    timings_s: dict[str, float] = Field(default_factory=dict)
    error: JobError | None = None
    webhook: WebhookState | None = None
    """Of a job that was posted with one."""


class Unreadable(Envelope):
    """A job whose record this version of the service cannot read."""

    id: str
    detail: str


class JobPage(Envelope):
    items: list[JobRecord]
    unreadable: list[Unreadable] = Field(default_factory=list)
    """Jobs of this page that are there and that this version of the service cannot read."""
    next_cursor: str | None = None
