"""What endpoints ask for by name."""

import re
import threading
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request

from contract.errors import InvalidKey, TooManyTransfers, UnknownJob, UnknownModel
from contract.fields import NAME_PATTERN
from contract.state import Priority
from jobs.keys import ANYBODY, ApiKey, ApiKeys, Scope
from jobs.overview import Overview
from jobs.ownership import OwnJobs
from jobs.queue import JobQueue
from jobs.results.store import ResultStore
from jobs.settings import Settings
from model_store.card import AnyCard
from service.http.errors import KeyRequired, ScopeMissing
from service.http.header_fields import priority_of, wait_of
from service.key_rule import KeyRule
from service.metrics import Metrics
from service.registry import Registry

MAX_LISTENERS = 512
"""Event streams: a connection each, and no thread."""
MAX_WAITERS = 64
"""Posts with `Prefer: wait`: a thread each."""
MAX_CONVERSIONS = 2
THREADS = 64
"""Beside those of the requests that wait for their jobs."""
_NAME = re.compile(NAME_PATTERN)
_BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Services:
    """What one app holds. Made in create_app, found in app.state.services."""

    settings: Settings
    queue: JobQueue
    overview: Overview
    keys: ApiKeys
    key_rule: KeyRule
    results: ResultStore
    registry: Registry
    metrics: Metrics
    listeners: threading.BoundedSemaphore
    waiters: threading.BoundedSemaphore
    transfers: threading.BoundedSemaphore
    conversions: threading.BoundedSemaphore
    """DICOM series being read: each takes as much memory as its volume several times over."""
    leaving: threading.Event
    """Set when the server begins to stop: whoever only waits is to answer now."""

    def take_transfer(self) -> None:
        """A place for a file under way, which whoever got it gives back. Raises: TooManyTransfers."""
        if not self.transfers.acquire(blocking=False):
            raise TooManyTransfers("Too many files are under way; come back later.")

    def leave(self) -> None:
        """Ends what only waits or listens, and does not wait for it: clients ask again, or resume their events."""
        self.leaving.set()
        threading.Thread(target=self.queue.relay.close, name="leave").start()


@dataclass(frozen=True)
class PostFields:
    """The header fields that a POST may carry."""

    wait_s: int | None
    idempotency_key: str | None
    priority: Priority = "normal"


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


AppServices = Annotated[Services, Depends(_services)]


def _caller(request: Request, services: AppServices) -> ApiKey:
    """Whose request it is. Raises: KeyRequired, InvalidKey, QueueUnavailable."""
    fields = request.headers.getlist("authorization")
    if not services.key_rule.holds():
        return ANYBODY
    if not fields:
        raise KeyRequired("Send the API key as Authorization: Bearer <key>.")
    match = _BEARER.fullmatch(fields[0])
    if match is None or len(fields) > 1:
        raise InvalidKey("The Authorization field is not one Bearer key.")
    return services.keys.authenticate(match[1])


KNOWN_CALLER = Depends(_caller)
Caller = Annotated[ApiKey, KNOWN_CALLER]


def needs(scope: Scope) -> Any:
    """The dependency of a route or router that only keys with that scope may use."""

    def check(caller: Caller) -> None:
        if scope not in caller.scopes:
            raise ScopeMissing(f"This needs an API key with the scope {scope}.")

    return Depends(check)


def _own_jobs(services: AppServices, caller: Caller) -> OwnJobs:
    return OwnJobs(services.queue, caller)


def _results(services: AppServices) -> ResultStore:
    return services.results


def _registry(services: AppServices) -> Registry:
    return services.registry


Jobs = Annotated[OwnJobs, Depends(_own_jobs)]
Results = Annotated[ResultStore, Depends(_results)]
Models = Annotated[Registry, Depends(_registry)]


def _job_id(job_id: Annotated[str, Path(description="Id of a job")]) -> str:
    if not _NAME.fullmatch(job_id):
        raise UnknownJob("There is no job of that id.")
    return job_id


def _card(name: Annotated[str, Path(description="Name of a model")], registry: Models) -> AnyCard:
    return registry.card(_model_name(name))


def _model_name(name: Annotated[str, Path(description="Name of a model")]) -> str:
    if not _NAME.fullmatch(name):
        raise UnknownModel("There is no model of that name; GET /models lists them.")
    return name


JobId = Annotated[str, Depends(_job_id)]
ModelName = Annotated[str, Depends(_model_name)]
Card = Annotated[AnyCard, Depends(_card)]


def _post_fields(
    prefer: Annotated[
        list[str] | None,
        Header(
            description="`wait=N` holds the answer up to N <= 60 s until the job has ended; "
            "`priority=high` or `low` moves the job in the queue."
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="The same key and body give the same job, however often they are posted.",
        ),
    ] = None,
) -> PostFields:
    return PostFields(wait_of(prefer or ()), idempotency_key, priority_of(prefer or ()))


Post = Annotated[PostFields, Depends(_post_fields)]
