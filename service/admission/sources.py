"""{"job": ..., "index": ...} sources to what they mean now, so that a queued job depends on no other job's record."""

from pydantic import TypeAdapter

from contract.errors import InvalidRequest, ResultNotReady, UnknownResult
from contract.fields import JobSource, LatentSource, SeedSource
from contract.requests import REQUESTS, AnyRequest
from contract.state import JobRecord, Placement, ResultFile
from jobs.ownership import OwnJobs
from model_store.card import AnyCard
from volumes.formats import BY_NAME, is_readable

MAX_RESOLVED_BYTES = 64 * 2**20
"""Of what the job sources of one request stand for, as JSON. A source of 50 bytes may name a latent of megabytes, and
4096 of them may; the front end, the queue and a worker hold it all. Room for a direction fitted to 3,000 latents of
1024 numbers, or to 400 encoded scans of a model with 15 styles of 512."""
_PLAIN_SOURCE: TypeAdapter[SeedSource | LatentSource] = TypeAdapter(SeedSource | LatentSource)

SERIES = "that result is a DICOM series: download it and send it as a volume, or make it again as nii.gz"

Source = SeedSource | LatentSource | JobSource


class Sources:
    """Looks up the jobs that one request names, among its caller's."""

    def __init__(self, jobs: OwnJobs, card: AnyCard) -> None:
        self._jobs, self._card = jobs, card
        self._found: dict[str, JobRecord] = {}
        self._resolved: dict[JobSource, tuple[Source, int]] = {}
        self._resolved_bytes = 0

    def resolve(self, request: AnyRequest) -> AnyRequest:
        """The request with every job among its sources replaced by a seed or a latent; its scan's is left to `volume`.

        Raises: UnknownJob, ExpiredJob, ResultNotReady, UnknownResult, InvalidRequest.
        """
        named = request.sources()
        return request.with_sources({at: self._taken(request, source, at) for at, source in named.items()})

    def placement(self, request: AnyRequest) -> Placement | None:
        """Of the scan that the request's volumes are to be laid on; None where they come from none.

        Raises: as `resolve`.
        """
        source = request.placed_by
        return self._record(source.job).placement if isinstance(source, JobSource) else None

    def volume(self, source: JobSource, at: str = "/source") -> tuple[str, ResultFile]:
        """The volume that a scan's source names, with its key in the store; `at`: its pointer. Raises: as `resolve`."""
        record = self._record(source.job)
        file = _result(record, source)
        if BY_NAME["dicom"].is_name_of(file.name):
            raise InvalidRequest("The source cannot be read.", [(at, SERIES)])
        if not is_readable(file.name):
            raise InvalidRequest(
                "The source cannot be read.", [(at, "that result is not in a format that can be read again")]
            )
        return self._jobs.results.result_key(record.id, file.name, file.sha256), file

    def _taken(self, request: AnyRequest, source: Source, pointer: str) -> Source:
        """A job's sample exactly as it was made, or not at all."""
        plain = self._plain(source, pointer)
        if isinstance(source, JobSource) and request.alters(self._card, plain):
            raise _unfit("/truncation", "that job made its sample without it; leave it out, or name the seed instead")
        return plain

    def _record(self, job_id: str) -> JobRecord:
        """Of a job that is looked up once, however often the request names it."""
        if job_id not in self._found:
            self._found[job_id] = self._jobs.get(job_id)
        return self._found[job_id]

    def _plain(self, source: Source, pointer: str) -> Source:
        """Each use of a source counts: the payload holds it as often."""
        if not isinstance(source, JobSource):
            return source
        if source not in self._resolved:
            plain = self._meaning(source, pointer)
            self._resolved[source] = (plain, len(plain.model_dump_json()))
        plain, size_bytes = self._resolved[source]
        self._resolved_bytes += size_bytes
        if self._resolved_bytes > MAX_RESOLVED_BYTES:
            raise _unfit(pointer, "the latents of that and the earlier samples are too large together")
        return plain

    def _meaning(self, source: JobSource, pointer: str) -> Source:
        record = self._record(source.job)
        if record.model != self._card.name:
            raise _unfit(f"{pointer}/job", "that job used another model")
        if record.model_sha256 != self._card.sha256:
            raise _unfit(f"{pointer}/job", "that job used other weights of this model")
        kind = REQUESTS[record.kind]
        if not kind.gives_volumes:
            raise _unfit(f"{pointer}/job", "that job made no volumes")
        if kind.takes_scan:
            return _encoded(record, source)
        latent = _result(record, source).latent
        if latent is None:
            raise _unfit(pointer, "that result has no latent")
        return _PLAIN_SOURCE.validate_python(latent)


def _encoded(record: JobRecord, source: JobSource) -> LatentSource:
    """Scan `index` of an encode job."""
    latents = record.latents or []
    if source.index >= len(latents):
        raise _missing(record)
    latent = latents[source.index]
    return LatentSource(latent=latent, space="w" if isinstance(latent[0], list) else "z")


def _result(record: JobRecord, source: JobSource) -> ResultFile:
    """Volume `index` of a job; a running job's results count as soon as they are stored."""
    for result in record.results:
        if result.index == source.index:
            return result
    raise _missing(record)


def _missing(record: JobRecord) -> Exception:
    if record.state.is_terminal:
        return UnknownResult("The source job has no result of that index.")
    return ResultNotReady("The source job has not made that result yet.")


def _unfit(pointer: str, reason: str) -> InvalidRequest:
    return InvalidRequest("The source does not fit the request.", [(pointer, reason)])
