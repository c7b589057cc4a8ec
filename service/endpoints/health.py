"""/healthz: the process is up. /readyz: it can serve. /metrics: what Prometheus scrapes."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from contract.errors import QueueUnavailable, StoreFull, StoreUnavailable
from jobs.keys import Scope
from jobs.overview import Overview
from jobs.results.store import ResultStore
from service.answers import Readiness
from service.dependencies import AppServices, needs
from service.http.errors import NotReady
from service.http.replies import plain
from service.metrics import CONTENT_TYPE
from service.openapi import PROBLEMS
from service.queue_metrics import QueueView

PROBE_EVERY_S = 2.0
"""Anyone may ask whether the service can serve: the store is tried at most so often, whoever asks."""
router = APIRouter(tags=["health"], responses=PROBLEMS)


@router.get("/healthz", response_model=dict[str, Any])
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Response:
    """The process is up. Looks at nothing else, and needs no thread: all may be waiting for the queue."""
    return plain({"status": "ok"})


@router.get("/readyz", response_model=Readiness)
@router.head("/readyz", include_in_schema=False)
def readyz(services: AppServices) -> Response:
    """Whether a job posted now would be done: the queue answers, the store can be written, a worker is alive."""
    checks = readiness(services.overview, services.results, services.settings.min_free_bytes)
    if not (checks["queue"] and checks["store"] and checks["workers"]):
        raise NotReady(_lack(checks), checks)
    return plain({"status": "ready", **checks})


@router.get("/metrics", response_class=Response, dependencies=[needs(Scope.ADMIN)])
@router.head("/metrics", include_in_schema=False, dependencies=[needs(Scope.ADMIN)])
def metrics(services: AppServices) -> Response:
    """Prometheus' text format."""
    return Response(services.metrics.render(look_at(services.overview)), media_type=CONTENT_TYPE)


def has_room(results: ResultStore, min_free_bytes: int) -> bool:
    """Whether the store takes new jobs."""
    try:
        results.check_room(min_free_bytes)
    except (StoreFull, StoreUnavailable):
        return False
    return True


def readiness(overview: Overview, results: ResultStore, min_free_bytes: int) -> dict[str, Any]:
    """queue, store: whether they take jobs. workers: how many do; draining: how many end theirs and take no others.
    durable: whether jobs outlive a restart."""
    workers = live_workers(overview)
    draining = sum(bool(worker.about.get("draining")) for worker in workers or ())
    return {
        "queue": workers is not None,
        "store": has_room(results, min_free_bytes) and results.writable(PROBE_EVERY_S),
        "workers": len(workers or ()) - draining,
        "draining": draining,
        "durable": workers is not None and is_durable(overview),
    }


def live_workers(overview: Overview) -> list[Any] | None:
    """None where the queue does not answer."""
    try:
        return list(overview.workers())
    except QueueUnavailable:
        return None


def look_at(overview: Overview) -> QueueView | None:
    """None where the queue does not answer."""
    try:
        return QueueView(overview.workers(), overview.depth(), overview.oldest_s(), overview.counts())
    except QueueUnavailable:
        return None


def is_durable(overview: Overview) -> bool:
    try:
        return overview.durable()
    except QueueUnavailable:
        return False


def _lack(checks: dict[str, Any]) -> str:
    if not checks["queue"]:
        return "The queue does not answer."
    return "The result store is full or cannot be written." if not checks["store"] else "No worker is alive."
