"""Prometheus metrics: one registry per app, labels from closed sets only."""

import math
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from jobs.queue import Worker

CONTENT_TYPE = CONTENT_TYPE_LATEST
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


class Metrics:
    """What the front end counts, and what it sees of the workers when it is asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("voxelsmith_http_requests", "HTTP requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "voxelsmith_http_request_duration_seconds",
            "From the request's head to the end of the answer.",
            labels[:2],
            registry=self.registry,
        )
        self._queue_up = Gauge("voxelsmith_queue_up", "1 while the queue answers.", registry=self.registry)
        self._jobs = Gauge("voxelsmith_jobs", "Jobs that wait and jobs that run.", ("state",), registry=self.registry)
        self._workers = Gauge("voxelsmith_workers", "Workers with a live heartbeat.", registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answered request. `route` is a path template, never a path."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def render(self, workers: Sequence[Worker] | None, depth: tuple[int, int] | None) -> bytes:
        """The exposition; `workers` and `depth` (jobs queued, running) are None where the queue does not answer."""
        self._queue_up.set(workers is not None)
        self._workers.set(len(workers or ()))
        for state, count in zip(("queued", "running"), depth or (math.nan, math.nan), strict=True):
            self._jobs.labels(state).set(count)
        return generate_latest(self.registry)
