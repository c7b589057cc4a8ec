"""Every error a user can meet, each a class with a stable code.

VoxelsmithError
├── InvalidRequest            the request does not fit the contract or the model's card
│   ├── UnreadableVolume      an upload that the strict readers refuse
│   ├── VerbNotSupported      the model cannot do what is asked of it
│   └── IdempotencyConflict   the same Idempotency-Key with another body
├── UploadTooLarge
├── UnsupportedMedia          a content type the endpoint does not read
├── NotFound
│   ├── UnknownModel, UnknownJob, UnknownResult, UnknownDirection, UnknownKey
├── InvalidKey                an API key that is unknown, revoked or expired
├── QuotaExceeded             an API key has used up one of its limits
├── ExpiredJob, UnreadableRecord
├── ResultNotReady
├── DirectionExists
├── DirectionShipped          it came with its model and cannot be removed
├── QueueFull, QueueUnavailable, StoreUnavailable, StoreFull, TooManyTransfers
└── JobFailure                a running job that cannot go on
    ├── ModelBroken, NonFiniteOutput, GpuOutOfMemory, OutOfMemory, MemoryLimit, WorkerLost, DeadlineExceeded,
    │   NoLikelySample, InternalFailure
JobCanceled                   not an error: the way a running job leaves when its cancel flag is seen
JobHandedBack, LeaseLost      not errors either: the job goes on elsewhere
"""

from collections.abc import Sequence


class VoxelsmithError(Exception):
    """Base of the tree. `detail` is for the user: no rejected value, path, host, exception class or stack."""

    code = "error"
    title = "Error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidRequest(VoxelsmithError):
    code, title = "invalid_request", "The request is not valid"

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        """`errors`: (JSON pointer, what is wrong there)."""
        super().__init__(detail)
        self.errors = list(errors)


class UnreadableVolume(InvalidRequest):
    code, title = "unreadable_volume", "The volume cannot be read"


class VerbNotSupported(InvalidRequest):
    code, title = "verb_not_supported", "The model cannot do that"

    def __init__(self, verb: str, verbs: Sequence[str]) -> None:
        """`verbs`: what the model can do."""
        able = " and ".join([", ".join(verbs[:-1]), verbs[-1]] if len(verbs) > 1 else verbs)
        super().__init__(f"This model can {able}, not {verb}.", [("/model", f"this model can {able}")])
        self.verbs = list(verbs)


class IdempotencyConflict(InvalidRequest):
    code, title = "idempotency_conflict", "The idempotency key was used for another request"


class UploadTooLarge(VoxelsmithError):
    code, title = "upload_too_large", "The upload is too large"


class UnsupportedMedia(VoxelsmithError):
    code, title = "unsupported_media_type", "The content type is not supported"


class NotFound(VoxelsmithError):
    code, title = "not_found", "Not found"


class UnknownModel(NotFound):
    code, title = "unknown_model", "No such model"


class UnknownJob(NotFound):
    code, title = "unknown_job", "No such job"


class UnknownResult(NotFound):
    code, title = "unknown_result", "No such result"


class UnknownDirection(NotFound):
    code, title = "unknown_direction", "No such direction"


class UnknownKey(NotFound):
    code, title = "unknown_key", "No such API key"


class InvalidKey(VoxelsmithError):
    code, title = "invalid_key", "The API key is not valid"


class QuotaExceeded(VoxelsmithError):
    code, title = "quota_exceeded", "A limit of this API key is reached"


class ExpiredJob(VoxelsmithError):
    code, title = "job_expired", "The job has expired"


class UnreadableRecord(VoxelsmithError):
    code, title = "record_unreadable", "The job's record cannot be read"


class TooManyTransfers(VoxelsmithError):
    code, title = "too_many_transfers", "Too many files or large records are under way"


class ResultNotReady(VoxelsmithError):
    code, title = "result_not_ready", "The result is not ready"


class DirectionExists(VoxelsmithError):
    code, title = "direction_exists", "A direction of that name exists"


class DirectionShipped(VoxelsmithError):
    code, title = "direction_shipped", "The direction belongs to the model"


class QueueFull(VoxelsmithError):
    code, title = "queue_full", "The queue is full"


class QueueUnavailable(VoxelsmithError):
    code, title = "queue_unavailable", "The queue does not answer"


class StoreUnavailable(VoxelsmithError):
    code, title = "store_unavailable", "The result store does not answer"


class StoreFull(VoxelsmithError):
    code, title = "store_full", "The result store is full"


class JobFailure(VoxelsmithError):
    code, title = "job_failed", "The job failed"


class ModelBroken(JobFailure):
    code, title = "model_broken", "The model is broken"


class NonFiniteOutput(JobFailure):
    code, title = "non_finite_output", "The model gave values that are not finite"


class GpuOutOfMemory(JobFailure):
    code, title = "gpu_out_of_memory", "The device has too little memory"


class OutOfMemory(JobFailure):
    code, title = "out_of_memory", "The worker has too little memory"


class MemoryLimit(JobFailure):
    code, title = "memory_limit", "The job does not fit into the worker's memory"


class WorkerLost(JobFailure):
    code, title = "worker_lost", "The worker was lost too often"


class DeadlineExceeded(JobFailure):
    code, title = "deadline_exceeded", "The job took too long"


class NoLikelySample(JobFailure):
    code, title = "no_likely_sample", "No sample is as realistic as was asked for"


class InternalFailure(JobFailure):
    code, title = "internal_error", "Something went wrong in the worker"


class JobCanceled(Exception):  # an outcome, not an error
    """A running job leaves through here when its cancel flag is seen between two steps."""


class JobHandedBack(Exception):
    """A stopping worker leaves its job through here between two samples; another worker runs it again."""


class LeaseLost(Exception):  # an outcome, not an error
    """The job now belongs to a later delivery; whatever this worker still does for it is not published."""
