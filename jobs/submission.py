"""Submission: a job that is to be queued, as one thing."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from contract.state import JobKind, Priority
from jobs.quota import Charge


def new_id() -> str:
    """An id for a job about to be submitted, so that its upload can be stored first."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Submission:
    """What the record will hold of a job, before there is one."""

    kind: JobKind
    model: str
    model_sha256: str
    request: dict[str, Any]
    """What the user is shown."""
    payload: dict[str, Any]
    """What the worker runs."""
    digest: str
    """Identifies the body for the idempotency key."""
    volumes: int = 0
    """How many volumes the job stores."""
    idempotency_key: str | None = None
    """The same key with the same digest returns the job that it already made."""
    priority: Priority = "normal"
    webhook: str | None = None
    """The address that is told of its end."""
    charge: Charge = field(default_factory=Charge)
    """Whose job it is and what it takes of the owner's limits."""
    job_id: str = field(default_factory=new_id)
