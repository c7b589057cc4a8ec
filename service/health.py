"""/healthz: the process is up. /readyz: it can serve. /metrics: what Prometheus scrapes."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from jobs.errors import QueueUnavailable
from jobs.queue import JobQueue
from jobs.results import ResultStore
from service.dependencies import House, Queue, Results
from service.errors import NotReady
from service.metrics import CONTENT_TYPE
from service.openapi import PROBLEMS
from service.replies import plain

router = APIRouter(tags=["health"], responses=PROBLEMS)


@router.get("/healthz", response_model=dict[str, Any])
@router.head("/healthz", include_in_schema=False)
def healthz() -> Response:
    """The process is up. Looks at nothing else."""
    return plain({"status": "ok"})


@router.get("/readyz", response_model=dict[str, Any])
@router.head("/readyz", include_in_schema=False)
def readyz(queue: Queue, results: Results) -> Response:
    """Whether a job posted now would be done: the queue answers, the store can be written, a worker is alive."""
    checks = readiness(queue, results)
    if not (checks["queue"] and checks["store"] and checks["workers"]):
        raise NotReady(_lack(checks), checks)
    return plain({"status": "ready", **checks})


@router.get("/metrics", response_class=Response)
@router.head("/metrics", include_in_schema=False)
def metrics(services: House) -> Response:
    """Prometheus' text format."""
    queue = services.queue
    workers = live_workers(queue)
    depth = None if workers is None else depth_of(queue)
    return Response(services.metrics.render(workers, depth), media_type=CONTENT_TYPE)


def readiness(queue: JobQueue, results: ResultStore) -> dict[str, Any]:
    """queue, store: whether they answer. workers: how many are alive. durable: whether jobs survive a restart."""
    workers = live_workers(queue)
    return {
        "queue": workers is not None,
        "store": results.writable(),
        "workers": len(workers or ()),
        "durable": workers is not None and is_durable(queue),
    }


def live_workers(queue: JobQueue) -> list[Any] | None:
    """None where the queue does not answer."""
    try:
        return list(queue.workers())
    except QueueUnavailable:
        return None


def depth_of(queue: JobQueue) -> tuple[int, int] | None:
    """None where the queue does not answer."""
    try:
        return queue.depth()
    except QueueUnavailable:
        return None


def is_durable(queue: JobQueue) -> bool:
    try:
        return queue.durable()
    except QueueUnavailable:
        return False


def _lack(checks: dict[str, Any]) -> str:
    if not checks["queue"]:
        return "The queue does not answer."
    return "The result store cannot be written." if not checks["store"] else "No worker is alive."
