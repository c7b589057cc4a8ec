"""/metrics: what happened to jobs, whoever did it. The dashboard and the docs name what exists; labels are closed."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract.errors import LeaseLost
from contract.state import JobRecord, JobState, Manifest, ResultFile
from jobs.counts import BOUNDS_S, STAGES, Counts
from jobs.deliveries import Deliveries
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.processes import eventually
from tests.support.service_fixtures import Api, models, serving  # noqa: F401
from tests.support.sides import deliveries, overview, transport, upkeep

ROOT = Path(__file__).parents[2]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def api(settings: Settings, models: Path) -> Iterator[Api]:
    """With leases that no busy machine outlasts between a heartbeat and the look at it."""
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": 30.0})) as running:
        yield running


def scrape(api: Api) -> Samples:
    families = text_string_to_metric_families(api.http.get("/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_jobs_are_counted_by_kind_model_and_state_with_their_wait_and_seconds(api: Api) -> None:
    done, dropped, _waiting = api.submit(), api.submit(), api.submit()
    claim = deliveries(api.queue).claim(done, 1, "w")
    manifest = Manifest(timings_s={"forward": 0.5, "write": 20.0, "queued": 9.0, "odd": 1.0})
    deliveries(api.queue).finish(done, 1, JobState.SUCCEEDED, manifest)
    deliveries(api.queue).finish(done, 1, JobState.SUCCEEDED, manifest)  # a repeat after a lost reply
    api.queue.cancel(dropped)
    samples = scrape(api)
    told = {"kind": "generate", "model": "tiny"}
    assert value(samples, "voxelsmith_jobs_submitted_total", **told) == 3
    assert value(samples, "voxelsmith_jobs_finished_total", **told, state="succeeded") == 1
    assert value(samples, "voxelsmith_jobs_finished_total", **told, state="canceled") == 1
    assert value(samples, "voxelsmith_jobs", state="queued") == 1
    assert 0 < value(samples, "voxelsmith_queue_oldest_seconds") < 60
    assert value(samples, "voxelsmith_queue_wait_seconds_count") == 1
    waited_s = (claim.started_at - claim.created_at).total_seconds()
    assert value(samples, "voxelsmith_queue_wait_seconds_sum") == pytest.approx(waited_s, abs=1e-5)
    stage = "voxelsmith_job_stage_seconds"
    assert value(samples, f"{stage}_sum", stage="write", model="tiny") == 20
    buckets = [value(samples, f"{stage}_bucket", stage="forward", model="tiny", le=str(bound)) for bound in BOUNDS_S]
    assert buckets == [float(bound >= 0.5) for bound in BOUNDS_S]
    assert not [key for key in samples if ("stage", "odd") in key[1] or ("stage", "queued") in key[1]]


def test_what_goes_wrong_around_a_job_is_counted_once_it_happens(
    queue: JobQueue, submit: Callable[..., JobRecord]
) -> None:
    job = submit().id
    deliveries(queue).claim(job, 1, "w")
    deliveries(queue).hand_back(job, 1)
    deliveries(queue).claim(job, 2, "w")
    deliveries(queue).hand_back(job, 2, crashed=True)
    with pytest.raises(LeaseLost):
        deliveries(queue).finish(job, 2, JobState.SUCCEEDED)
    entry = ResultFile(name="a", index=0, media_type="x", size_bytes=1, sha256="")
    with pytest.raises(LeaseLost):
        deliveries(queue).keep(job, 1, Manifest(results=[entry]), entry)
    with pytest.raises(LeaseLost):
        deliveries(queue).renew(job, 1, commits=True)
    with pytest.raises(LeaseLost):
        deliveries(queue).renew(job, 1)  # a heartbeat: nothing was about to be put in place
    counts = overview(queue).counts()
    assert counts.of("handed_back") == {("stopping",): 1, ("crashed",): 1}
    assert counts.of("fenced") == {("job",): 1, ("result",): 2}


def test_a_lost_lease_and_a_lost_message_are_counted(
    settings: Settings, redis: Redis, submit: Callable[..., JobRecord]
) -> None:
    hasty = JobQueue(redis, settings.model_copy(update={"lease_s": 0.05}))
    job = submit(to=hasty).id
    deliveries(hasty).claim(job, 1, "w")
    eventually(lambda: upkeep(hasty).reap() and overview(hasty).counts().of("lease_losses"))
    assert overview(hasty).counts().of("lease_losses") == {(): 1}
    transport(hasty).forget(job, 2)
    upkeep(hasty).reap(0.0)
    eventually(lambda: upkeep(hasty).reap(0.0) and overview(hasty).counts().of("lost_messages"))
    assert overview(hasty).counts().of("lost_messages") == {(): 1}


def test_loads_of_weights_are_counted_over_the_lives_of_workers(redis: Redis, settings: Settings) -> None:
    worker_side = Deliveries(redis, settings)
    for worker, loads in (("a", 1), ("a", 1), ("a", 3), ("b", 1), ("c", 0)):
        worker_side.beat(worker, {"model_loads": loads})
    worker_side.retire("a")
    worker_side.beat("play", {})
    assert overview(JobQueue(redis, settings)).counts().of("model_loads") == {(): 4}


def test_workers_tell_of_models_and_memory(api: Api) -> None:
    memory = {"used_bytes": 30, "total_bytes": 80}
    for name, job in (("a", "j"), ("b", None)):
        about = {"host": "h", "device": "cpu", "models": {"tiny": 5}, "memory": memory, "job": job}
        deliveries(api.queue).beat(name, about)
    samples = scrape(api)
    assert value(samples, "voxelsmith_workers") == 2
    assert value(samples, "voxelsmith_workers_busy") == 1
    assert value(samples, "voxelsmith_resident_models", model="tiny") == 2
    assert value(samples, "voxelsmith_device_memory_used_bytes", host="h", device="cpu") == 60
    assert value(samples, "voxelsmith_device_memory_total_bytes", host="h", device="cpu") == 80


def test_buckets_are_cumulative_and_the_last_holds_all() -> None:
    counts = Counts({b"wait|#1": b"2", b"wait|#12": b"1", b"wait|sum": b"2500000"})
    assert counts.histogram("wait") == {(): ([2] * 11 + [3], 2.5)}


def metric_names(api: Api) -> set[str]:
    """As they are in queries, of an API whose every metric has a sample."""
    job = api.submit()
    deliveries(api.queue).claim(job, 1, "w")
    deliveries(api.queue).finish(job, 1, JobState.SUCCEEDED, Manifest(timings_s=dict.fromkeys(STAGES, 1.0)))
    memory = {"used_bytes": 1, "total_bytes": 2}
    deliveries(api.queue).beat("a", {"host": "h", "device": "cpu", "models": {"tiny": 5}, "memory": memory})
    return {name for name, _ in scrape(api)}


def test_the_dashboard_the_autoscaler_and_the_docs_name_metrics_that_exist(api: Api) -> None:
    api.http.get("/healthz")
    existing = metric_names(api)
    board = json.loads((ROOT / "docker" / "grafana" / "voxelsmith.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 12
    scaled = yaml.safe_load((ROOT / "docker" / "kubernetes" / "autoscaling.yaml").read_text())
    queries += [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    named = {name for query in queries for name in re.findall(r"\b(?:voxelsmith|process)_\w+", query)}
    assert named <= existing
    told = set(re.findall(r"^\| `(voxelsmith_\w+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE))
    base = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in existing if name.startswith("voxelsmith")}
    base -= {"voxelsmith_http_requests"}  # of its _created
    assert told == base


def test_no_client_can_add_a_label(api: Api) -> None:
    before = set(scrape(api))
    for path in ("/jobs/john-doe", "/models/john-doe", "/john-doe", "/generate/john-doe"):
        api.http.get(path)
    api.http.request("JOHN", "/jobs")
    api.post("/generate", {"model": "john-doe", "seed": 1})
    assert not [key for key in set(scrape(api)) - before if "john" in str(key).lower()]
