"""What the Python client raises: one class per HTTP code, and a few that have none.

ClientError
├── HttpProblem               the server answered with application/problem+json: one class per code, see below
├── BadAddress, BadKey        no request can be made of the URL, its proxy or the API key
├── ServerUnreachable         no answer at all
├── UnreadableAnswer          an answer that this client does not know, of a newer server or of something else
├── DamagedDownload           the bytes are not those of the SHA-256 in the job record
├── JobFailed                 the job ended as `failed`
├── JobStopped                the command line's job was canceled by somebody else, or has expired
├── JobInterrupted            the command line's job was stopped by Ctrl-C
├── DataSetRefused            what was asked for cannot be a data set, or cannot be in that folder
├── DiskFull                  the disk of a data set has no room for what is to come
├── NoNotebook                show() was called where no notebook is
├── JobNotDone                wait() ran into its timeout, or remove() met a job that has not ended
└── NoSuchResult              the job has no such volume, latent or file
"""

from collections.abc import Mapping, Sequence
from typing import Any


class ClientError(Exception):
    """Base of the tree."""


class HttpProblem(ClientError):
    """An RFC 9457 answer. `errors` holds (JSON pointer, detail) pairs where the server named them."""

    status = 0

    def __init__(self, status: int, problem: Mapping[str, Any], old: str | None = None) -> None:
        """`old`: the sentence that says which side is old, where one is."""
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.errors = [(str(item.get("pointer", "")), str(item.get("detail", ""))) for item in _items(problem)]
        told = [self.detail, *(f"{pointer}: {detail}" for pointer, detail in self.errors), *([old] if old else [])]
        super().__init__("; ".join(told))


def _items(problem: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    errors = problem.get("errors")
    return [item for item in errors if isinstance(item, Mapping)] if isinstance(errors, list) else []


class BadRequest(HttpProblem):
    status = 400


class Unauthorized(HttpProblem):
    status = 401


class Forbidden(HttpProblem):
    status = 403


class NotFound(HttpProblem):
    status = 404


class MethodNotAllowed(HttpProblem):
    status = 405


class NotAcceptable(HttpProblem):
    status = 406


class RequestTimeout(HttpProblem):
    status = 408


class Conflict(HttpProblem):
    status = 409


class Gone(HttpProblem):
    status = 410


class LengthRequired(HttpProblem):
    status = 411


class PreconditionFailed(HttpProblem):
    status = 412


class ContentTooLarge(HttpProblem):
    status = 413


class UriTooLong(HttpProblem):
    status = 414


class UnsupportedMediaType(HttpProblem):
    status = 415


class RangeNotSatisfiable(HttpProblem):
    status = 416


class MisdirectedRequest(HttpProblem):
    status = 421


class Unprocessable(HttpProblem):
    status = 422


class TooManyRequests(HttpProblem):
    status = 429


class HeadersTooLarge(HttpProblem):
    status = 431


class ServerProblem(HttpProblem):
    status = 500


class BadGateway(HttpProblem):
    status = 502


class ServiceUnavailable(HttpProblem):
    status = 503


class GatewayTimeout(HttpProblem):
    status = 504


class InsufficientStorage(HttpProblem):
    status = 507


PROBLEMS: dict[int, type[HttpProblem]] = {cls.status: cls for cls in HttpProblem.__subclasses__()}


def problem_of(status: int, body: object, old: str | None = None) -> HttpProblem:
    """The exception for an error answer; a code without a class of its own gives the base class."""
    return PROBLEMS.get(status, HttpProblem)(status, body if isinstance(body, Mapping) else {}, old)


class BadAddress(ClientError, ValueError):
    pass


class BadKey(ClientError, ValueError):
    pass


class ServerUnreachable(ClientError):
    pass


class UnreadableAnswer(ClientError):
    def __init__(self, old: str | None) -> None:
        super().__init__("; ".join(["the server's answer is none that this client knows", *([old] if old else [])]))


class DamagedDownload(ClientError):
    pass


class JobFailed(ClientError):
    """`code` and `detail` are those of the job record's `error`."""

    def __init__(self, job_id: str, code: str, detail: str) -> None:
        super().__init__(f"job {job_id} failed ({code}): {detail}")
        self.job_id, self.code, self.detail = job_id, code, detail


class JobStopped(ClientError):
    pass


class JobInterrupted(ClientError):
    """The message says what is there."""


class DataSetRefused(ClientError):
    """The message says what to do. `errors`: (JSON pointer, detail) pairs, as of HttpProblem, where there are any."""

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        self.errors = list(errors)
        super().__init__("; ".join([detail, *(f"{pointer}: {what}" for pointer, what in self.errors)]))


class DiskFull(ClientError):
    """The message says how much is there; what is made stays."""


class NoNotebook(ClientError):
    pass


class JobNotDone(ClientError, TimeoutError):
    pass


class NoSuchResult(ClientError, LookupError):
    pass
