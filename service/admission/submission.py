"""From a parsed request to a job in the queue."""

import hashlib
import json
from contextlib import ExitStack
from typing import Any

from contract.errors import InvalidRequest, StoreUnavailable
from contract.fit import generator_card
from contract.requests import AnyRequest, EncodeRequest, JobSource
from contract.seeds import settled
from contract.state import JobKind
from jobs.ownership import OwnJobs
from service.admission.size import check_size, samples_of
from service.admission.sources import Sources
from service.admission.uploads import Original, Scan, check_scan, forget, stored
from service.admission.waiting import Submitted, waited
from service.damage import DAMAGED, missing_is_damaged
from service.dependencies import PostFields, Services
from service.http.errors import ResultDamaged


def submit(
    kind: JobKind,
    request: AnyRequest,
    services: Services,
    jobs: OwnJobs,
    fields: PostFields,
    scan: Scan | None = None,
) -> Submitted:
    """Holds a request against its model, resolves what it names, queues it, and waits where the client asked for it.

    `jobs`: those of the caller, who owns the new one too.
    Raises: whatever the request deserves; nothing of it is left behind then.
    """
    registry = services.registry
    digest = digest_of(kind, request, scan)
    # Before anything is looked up: a repeat gets its job even if what it names is gone by now.
    known = jobs.made_before(fields.idempotency_key, digest) if fields.idempotency_key else None
    if known is not None:
        return waited(known, services, fields)
    services.results.check_room(services.settings.min_free_bytes)
    card = generator_card(registry.card(request.model), kind)
    check_size(request, card, services.settings.max_job_voxels)
    accepted = settled(request)
    sources = Sources(jobs, card)
    resolved = sources.resolve(accepted)
    direction = registry.check(card, resolved)
    payload: dict[str, Any] = resolved.model_dump(mode="json")
    if direction is not None and not direction.is_shipped:
        payload["direction"] = direction.card.model_dump(mode="json")
    job_id, uploaded_bytes = services.queue.new_id(), 0
    with ExitStack() as stack:
        if isinstance(request, EncodeRequest):
            _check_one_scan(request, scan)
            original = _original(request, scan, sources, services, stack)
            if original is not None:
                payload["source"] = None
                uploaded_bytes = original.size_bytes
                payload["upload"] = stack.enter_context(stored(original, job_id, services.queue))
        body = accepted.model_dump(mode="json")
        about = (kind, card.name, card.sha256, body, payload, fields.idempotency_key, digest)
        takes = {"samples": samples_of(request), "uploaded_bytes": uploaded_bytes}
        record = jobs.submit(*about, job_id=job_id, **takes, priority=fields.priority)
    if record.id != job_id:  # the idempotency key's job has a scan of its own
        forget(job_id, services.queue)
    return waited(record, services, fields)


def digest_of(kind: JobKind, request: AnyRequest, scan: Scan | None) -> str:
    """Identifies what was posted: the request before a seed was drawn, and the scan's bytes."""
    identity = [kind, request.model_dump(mode="json"), scan.sha256 if scan else None]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _check_one_scan(request: EncodeRequest, scan: Scan | None) -> None:
    if (scan is None) == (request.source is None):
        reason = "give either a volume part or a source" if scan else "is missing, and there is no volume part"
        raise InvalidRequest("An encode takes one scan.", [("/source", reason)])


def _original(
    request: EncodeRequest, scan: Scan | None, sources: Sources, services: Services, stack: ExitStack
) -> Original | None:
    """The scan that came along, checked, or the volume of an earlier job. It gets a copy under the new job's own id,
    so that nobody can remove it from under the job. None: the worker makes the volume of a seed or a latent."""
    if scan is not None:
        check_scan(scan, services.settings)
        file = stack.enter_context(scan.reopened())
        return Original(file, scan.size_bytes, scan.sha256, StoreUnavailable("The volume could not be stored."))
    if not isinstance(request.source, JobSource):
        return None
    key, result = sources.volume(request.source)
    with missing_is_damaged():
        path = stack.enter_context(services.results.read_path(key))
    return Original(path, result.size_bytes, result.sha256, ResultDamaged(DAMAGED))
