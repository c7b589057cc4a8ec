"""From a parsed request to a job in the queue."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from contract.errors import InvalidRequest, StoreUnavailable
from contract.fields import JobSource
from contract.fit import check_verb
from contract.requests import AnyRequest
from contract.state import ResultFile
from jobs.ownership import OwnJobs
from jobs.quota import Charge, refusal
from jobs.submission import Submission, new_id
from service.admission.dicom import as_volume
from service.admission.grids import with_grid
from service.admission.payloads import kept
from service.admission.size import check_latents, check_scan_size, check_size
from service.admission.sources import Sources
from service.admission.uploads import Original, Scan, check_mask, check_scan, forget, stored
from service.admission.waiting import Submitted, waited
from service.admission.webhooks import check_webhook
from service.dependencies import PostFields, Services
from service.http.errors import DAMAGED, ResultDamaged, missing_is_damaged
from volumes.volume import spacing_of


def submit(
    request: AnyRequest,
    services: Services,
    jobs: OwnJobs,
    fields: PostFields,
    scan: Scan | None = None,
    mask: Scan | None = None,
) -> Submitted:
    """Holds a request against its model, resolves what it names, queues it, and waits where the client asked for it.

    `jobs`: those of the caller, who owns the new one too.
    Raises: whatever the request deserves; nothing of it is left behind then.
    """
    registry = services.registry
    digest = digest_of(request, scan, mask)
    # Before anything is looked up: a repeat gets its job even if what it names is gone by now.
    known = jobs.made_before(fields.idempotency_key, digest) if fields.idempotency_key else None
    if known is not None:
        return waited(known, services, fields)
    check_webhook(request, jobs, services.settings)
    services.results.check_room(services.settings.min_free_bytes)
    card = registry.card(request.model)
    check_verb(card, request.verb)
    check_size(request, card, services.settings.max_job_voxels)
    accepted = request.settled()
    sources = Sources(jobs, card)
    resolved = with_grid(sources.resolve(accepted), sources, services)
    check_size(resolved, card, services.settings.max_job_voxels)
    check_latents(resolved)
    _check_directions(resolved, services, jobs.owner)
    direction = registry.check(card, resolved)
    payload: dict[str, Any] = resolved.model_dump(mode="json")
    if direction is not None and not direction.is_shipped:
        payload["direction"] = direction.card.model_dump(mode="json")
    if resolved.directions and jobs.owner:
        payload["owner"] = jobs.owner
    placement = sources.placement(accepted)
    if placement is not None:
        check_size(resolved, card, services.settings.max_job_voxels, placement)
        payload["placement"] = placement.model_dump(mode="json")
    job_id = new_id()
    with ExitStack() as stack:
        original = _original(resolved, scan, mask, sources, services, stack)
        uploads = {"upload": original, "mask": _opened(mask, stack) if mask else None}
        uploaded_bytes = _keep(uploads, payload, job_id, services, stack)
        run = stack.enter_context(kept(payload, job_id, services.queue))
        record = jobs.submit(
            Submission(
                kind=request.kind,
                model=card.name,
                model_sha256=card.sha256,
                request=accepted.model_dump(mode="json"),
                payload=run.payload,
                digest=digest,
                volumes=request.volumes if placement is None else 2 * request.volumes,
                idempotency_key=fields.idempotency_key,
                priority=fields.priority,
                webhook=request.notifies,
                charge=Charge(samples=request.samples, uploaded_bytes=uploaded_bytes + run.size_bytes),
                job_id=job_id,
            )
        )
    if record.id != job_id:  # the idempotency key's job has a scan of its own
        forget(job_id, services.queue)
    return waited(record, services, fields)


def _keep(
    uploads: Mapping[str, Original | None], payload: dict[str, Any], job_id: str, services: Services, stack: ExitStack
) -> int:
    """Stores what came along and tells the worker where it lies; the bytes of it all."""
    names = {"upload": "scan", "mask": "mask"}
    there = {key: upload for key, upload in uploads.items() if upload is not None}
    for key, upload in there.items():
        payload["source"] = None
        payload[key] = stack.enter_context(stored(upload, job_id, services.queue, names[key]))
    return sum(upload.size_bytes for upload in there.values())


def _check_directions(request: AnyRequest, services: Services, owner: str) -> None:
    """Raises: QuotaExceeded where the key would have more directions than it may."""
    if owner and request.directions:
        known = len(services.registry.owned_directions(owner))
        if known + len(request.directions) > services.settings.key_max_directions:
            raise refusal("directions", services.settings)


def digest_of(request: AnyRequest, scan: Scan | None, mask: Scan | None = None) -> str:
    """Identifies what was posted: the request before a seed was drawn, and the bytes of the scan and its mask."""
    identity = [request.kind, request.model_dump(mode="json"), scan.sha256 if scan else None]
    identity += [mask.sha256] if mask else []
    identity += [{"webhook": request.notifies}] if request.notifies else []
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _original(
    request: AnyRequest, scan: Scan | None, mask: Scan | None, sources: Sources, services: Services, stack: ExitStack
) -> Original | None:
    """The scan that came along, checked with its mask, or the volume of an earlier job. It gets a copy under the new
    job's own id, so that nobody can remove it from under the job. None: the request needs none, or the worker makes the
    volume of a seed or a latent.

    Raises: InvalidRequest, where there is no scan or there are two; and what reading it gives rise to.
    """
    if not request.takes_scan:
        return None
    source = request.scan_source
    if (scan is None) == (source is None):
        reason = "give either a volume part or a source" if scan else "is missing, and there is no volume part"
        raise InvalidRequest("The request takes one scan.", [("/source", reason)])
    if scan is not None:
        scan = as_volume(scan, request.scan_series, services, stack)
        header = check_scan(scan, services.settings, request.scan_values)
        _check_sides(request, header.shape, spacing_of(header.affine), services)
        if mask is not None:
            check_mask(mask, header, services.settings)
        return _opened(scan, stack)
    if not isinstance(source, JobSource):
        return None
    key, result = sources.volume(source)
    _check_sides(request, _shape_of(result), result.spacing_mm or (1.0, 1.0, 1.0), services)
    with missing_is_damaged():
        path = stack.enter_context(services.results.read_path(key))
    return Original(path, result.size_bytes, result.sha256, ResultDamaged(DAMAGED))


def _opened(upload: Scan, stack: ExitStack) -> Original:
    """An upload, for as long as the stack lasts."""
    file = stack.enter_context(upload.reopened())
    return Original(file, upload.size_bytes, upload.sha256, StoreUnavailable("The volume could not be stored."))


def _check_sides(
    request: AnyRequest, shape: tuple[int, int, int], spacing_mm: Sequence[float], services: Services
) -> None:
    request.check_scan(shape, spacing_mm)
    check_scan_size(request, shape, spacing_mm, services.settings.max_job_voxels)


def _shape_of(result: ResultFile) -> tuple[int, int, int]:
    """Of a volume, which has one."""
    x, y, z = result.shape or (0, 0, 0)
    return x, y, z
