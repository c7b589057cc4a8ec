"""The queue's and the workers' part of /metrics. Every front end tells the same: take their maximum, not their sum."""

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.counts import BOUNDS_S, Counts
from jobs.overview import Worker

_COUNTERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("submitted", "voxelsmith_jobs_submitted", "Jobs accepted.", ("kind", "model")),
    ("finished", "voxelsmith_jobs_finished", "Jobs that have ended.", ("kind", "model", "state")),
    ("lease_losses", "voxelsmith_lease_losses", "Running jobs taken back because their lease ran out.", ()),
    ("handed_back", "voxelsmith_handed_back", "Jobs that a worker returned: stopping, or crashed.", ("reason",)),
    ("fenced", "voxelsmith_fenced_commits", "Results and ends refused: the job was another's.", ("what",)),
    ("lost_messages", "voxelsmith_lost_messages", "Queued jobs that the transport had lost, delivered anew.", ()),
    ("model_loads", "voxelsmith_model_loads", "Weights read by workers.", ()),
    ("webhooks", "voxelsmith_webhooks", "What came of telling jobs' ends: retried is an attempt.", ("outcome",)),
)
"""Of each: the name of its counts, of its metric, what it says, its labels."""
_ALWAYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "lease_losses": ((),),
    "handed_back": (("stopping",), ("crashed",)),
    "fenced": (("result",), ("job",)),
    "lost_messages": ((),),
    "model_loads": ((),),
    "webhooks": (("delivered",), ("retried",), ("given_up",)),
}
"""Shown as 0 before the first one, so that a rate sees the first one."""
_HISTOGRAMS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("wait", "voxelsmith_queue_wait_seconds", "From accepted to first started.", ()),
    ("stage", "voxelsmith_job_stage_seconds", "Of succeeded jobs, per stage of their work.", ("stage", "model")),
)


@dataclass(frozen=True)
class QueueView:
    """What a look at the queue gave."""

    workers: Sequence[Worker]
    depth: tuple[int, int]
    """Jobs queued and running."""
    oldest_s: float
    counts: Counts


class QueueMetrics(Collector):
    """A view as metric families."""

    def __init__(self, view: QueueView | None) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Where the queue does not answer, only that."""
        view = self._view
        yield GaugeMetricFamily("voxelsmith_queue_up", "1 while the queue answers.", value=view is not None)
        if view is None:
            return
        jobs = GaugeMetricFamily("voxelsmith_jobs", "Jobs that wait and jobs that run.", labels=("state",))
        for state, count in zip(("queued", "running"), view.depth, strict=True):
            jobs.add_metric((state,), count)
        yield jobs
        yield GaugeMetricFamily(
            "voxelsmith_queue_oldest_seconds", "Age of the job that is next; 0 where none waits.", value=view.oldest_s
        )
        yield from _counted(view.counts)
        yield from _workers([worker.about for worker in view.workers])


def _counted(counts: Counts) -> Iterator[Metric]:
    for name, metric, says, labels in _COUNTERS:
        counter = CounterMetricFamily(metric, says, labels=labels)
        found = dict.fromkeys(_ALWAYS.get(name, ()), 0) | counts.of(name)
        for values, count in sorted(found.items()):
            counter.add_metric(values, count)
        yield counter
    for name, metric, says, labels in _HISTOGRAMS:
        histogram = HistogramMetricFamily(metric, says, labels=labels)
        for values, (buckets, sum_s) in sorted(counts.histogram(name).items()):
            bounds = [*map(str, BOUNDS_S), "+Inf"]
            histogram.add_metric(values, list(zip(bounds, buckets, strict=True)), sum_s)
        yield histogram


def _workers(told: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """`told`: what each live worker says of itself, at its last beat and after its last job."""
    yield GaugeMetricFamily("voxelsmith_workers", "Workers with a live heartbeat.", value=len(told))
    busy = sum(about.get("job") is not None for about in told)
    yield GaugeMetricFamily("voxelsmith_workers_busy", "Workers that have a job in hand.", value=busy)
    drained = sum(bool(about.get("draining")) for about in told)
    yield GaugeMetricFamily("voxelsmith_workers_draining", "Workers that take no more jobs.", value=drained)
    resident = GaugeMetricFamily("voxelsmith_resident_models", "Workers that hold the model.", labels=("model",))
    for model, count in sorted(Tally(name for about in told for name in about.get("models", ())).items()):
        resident.add_metric((model,), count)
    yield resident
    used, total = Tally[tuple[str, str]](), dict[tuple[str, str], int]()
    for about in told:
        place, memory = (str(about.get("host")), str(about.get("device"))), about.get("memory")
        if memory is not None:
            used[place] += memory["used_bytes"]
            total[place] = memory["total_bytes"]
    labels = ("host", "device")
    for name, says, found in (
        ("used", "Memory in use on a worker's device after its last job; on the CPU by its workers.", used),
        ("total", "Memory of a worker's device; on the CPU what its workers may use.", total),
    ):
        family = GaugeMetricFamily(f"voxelsmith_device_memory_{name}_bytes", says, labels=labels)
        for place, size_bytes in sorted(found.items()):
            family.add_metric(place, size_bytes)
        yield family
