"""Prometheus metrics of one front end: a registry per app, labels from closed sets only."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.queue_metrics import QueueMetrics, QueueView

CONTENT_TYPE = CONTENT_TYPE_LATEST
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


class Metrics:
    """What this process counts, and what it is told of the queue when it is asked."""

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
        ProcessCollector(registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answered request. `route` is a path template, never a path."""
        known = known_method(method)
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def render(self, view: QueueView | None) -> bytes:
        """The exposition; `view` is None where the queue does not answer."""
        whole = CollectorRegistry()
        whole.register(QueueMetrics(view))
        return generate_latest(self.registry) + generate_latest(whole)


def known_method(method: str) -> str:
    """A method of HTTP, or "other"."""
    return method if method in _METHODS else "other"
