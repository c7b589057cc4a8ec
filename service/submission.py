"""From a parsed request to a job in the queue."""

import hashlib
import json
import secrets
from contextlib import ExitStack
from typing import Any

from jobs.errors import InvalidRequest
from jobs.requests import AnyRequest, EncodeRequest, GenerateRequest
from jobs.state import JobKind, JobRecord
from service.dependencies import PostFields, Services
from service.sources import Sources
from service.uploads import Scan, check_scan, stored


def submit(
    kind: JobKind, request: AnyRequest, services: Services, fields: PostFields, scan: Scan | None = None
) -> JobRecord:
    """Holds a request against its model, resolves what it names, queues it, and waits where the client asked for it.

    Raises: whatever the request deserves; nothing of it is left behind then.
    """
    registry, queue = services.registry, services.queue
    digest = digest_of(kind, request, scan)
    # Before anything is looked up: a repeat gets its job even if what it names is gone by now.
    known = queue.made_before(fields.idempotency_key, digest) if fields.idempotency_key else None
    if known is not None:
        return _waited(known, services, fields)
    card = registry.card(request.model)
    accepted = with_seed(request)
    sources = Sources(queue, card)
    resolved = sources.resolve(accepted)
    direction = registry.check(card, resolved)
    payload: dict[str, Any] = resolved.model_dump(mode="json")
    if direction is not None and not direction.is_shipped:
        payload["direction"] = direction.card.model_dump(mode="json")
    job_id = queue.new_id()
    with ExitStack() as stack:
        if isinstance(request, EncodeRequest):
            _check_one_scan(request, scan)
            payload["source"] = None
            payload["upload"] = _store_scan(request, scan, sources, services, job_id, stack)
        body = accepted.model_dump(mode="json")
        about = (kind, card.name, card.sha256, body, payload, fields.idempotency_key, digest)
        record = queue.submit(*about, job_id=job_id)
    if record.id != job_id:  # the idempotency key's job has a scan of its own
        services.results.remove_prefix(f"uploads/{job_id}")
    return _waited(record, services, fields)


def with_seed(request: AnyRequest) -> AnyRequest:
    """A generate request with its origin spelt out: a seed drawn where it has none, and the number of samples."""
    if not isinstance(request, GenerateRequest):
        return request
    changes: dict[str, Any] = {"num_samples": request.count}
    if request.seed is None and request.seeds is None and request.latents is None:
        changes["seed"] = secrets.randbits(32)
    return request.model_copy(update=changes)


def digest_of(kind: JobKind, request: AnyRequest, scan: Scan | None) -> str:
    """Identifies what was posted: the request before a seed was drawn, and the scan's bytes."""
    identity = [kind, request.model_dump(mode="json"), scan.sha256 if scan else None]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _check_one_scan(request: EncodeRequest, scan: Scan | None) -> None:
    if (scan is None) == (request.source is None):
        reason = "give either a volume part or a source" if scan else "is missing, and there is no volume part"
        raise InvalidRequest("An encode takes one scan.", [("/source", reason)])


def _store_scan(
    request: EncodeRequest, scan: Scan | None, sources: Sources, services: Services, job_id: str, stack: ExitStack
) -> str:
    """A copy of the scan under the job's own id, so that nobody can remove it from under the job; its key."""
    if scan is not None:
        check_scan(scan, services.settings)
        path = scan.path
    else:
        assert request.source is not None
        path = stack.enter_context(services.results.read_path(sources.volume(request.source)))
    return stack.enter_context(stored(path, job_id, services.queue))


def _waited(record: JobRecord, services: Services, fields: PostFields) -> JobRecord:
    """The record later, where the client wants to wait and a thread is free for it: `Prefer` is only a wish."""
    if not fields.wait_s or record.state.is_terminal or not services.listeners.acquire(blocking=False):
        return record
    try:
        return services.queue.wait(record.id, fields.wait_s)
    finally:
        services.listeners.release()
