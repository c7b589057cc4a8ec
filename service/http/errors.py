"""Errors on the wire: one table from class to HTTP status, one way to answer (RFC 9457)."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from contract import errors as tree
from contract.pointers import parameters

PROBLEM_TYPE = "application/problem+json"
log = logging.getLogger("voxelsmith.service")


class MalformedHttp(tree.VoxelsmithError):
    code, title = "malformed_http", "The request is not HTTP"


class MethodNotAllowed(tree.VoxelsmithError):
    code, title = "method_not_allowed", "The method is not allowed here"


class RequestTimeout(tree.VoxelsmithError):
    code, title = "request_timeout", "The request took too long to arrive"


class HeadersTooLarge(tree.VoxelsmithError):
    code, title = "headers_too_large", "The header fields are too large"


class AddressTooLong(tree.VoxelsmithError):
    code, title = "address_too_long", "The address is too long"


class PreconditionFailed(tree.VoxelsmithError):
    code, title = "precondition_failed", "The record has changed"


class RangeNotSatisfiable(tree.VoxelsmithError):
    code, title = "range_not_satisfiable", "The range lies outside the file"

    def __init__(self, detail: str, size_bytes: int) -> None:
        super().__init__(detail)
        self.size_bytes = size_bytes


class ResultDamaged(tree.VoxelsmithError):
    code, title = "result_damaged", "The stored result is lost or damaged"


class NotReady(tree.VoxelsmithError):
    code, title = "not_ready", "The service cannot serve"

    def __init__(self, detail: str, checks: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.checks = dict(checks)


class TooManyListeners(tree.VoxelsmithError):
    code, title = "too_many_listeners", "Too many clients are listening"


class TooManyConnections(tree.VoxelsmithError):
    code, title = "too_many_connections", "Too many clients are connected"


class KeyRequired(tree.VoxelsmithError):
    code, title = "key_required", "An API key is required"


class ScopeMissing(tree.VoxelsmithError):
    code, title = "scope_missing", "The API key does not have the scope"


class ForeignOrigin(tree.VoxelsmithError):
    code, title = "foreign_origin", "The request comes from another site"


class HostNotServed(tree.VoxelsmithError):
    code, title = "host_not_served", "The host is not served here"


STATUS: dict[type[tree.VoxelsmithError], int] = {
    tree.VoxelsmithError: 500,
    tree.InvalidRequest: 422,
    tree.UnreadableVolume: 422,
    tree.VerbNotSupported: 422,
    tree.IdempotencyConflict: 422,
    tree.UploadTooLarge: 413,
    tree.UnsupportedMedia: 415,
    tree.NotFound: 404,
    tree.UnknownModel: 404,
    tree.UnknownJob: 404,
    tree.UnknownResult: 404,
    tree.UnknownDirection: 404,
    tree.UnknownKey: 404,
    tree.InvalidKey: 401,
    tree.QuotaExceeded: 429,
    tree.ExpiredJob: 410,
    tree.UnreadableRecord: 409,
    tree.ResultNotReady: 409,
    tree.DirectionExists: 409,
    tree.DirectionShipped: 409,
    tree.QueueFull: 503,
    tree.QueueUnavailable: 503,
    tree.StoreUnavailable: 503,
    tree.StoreFull: 507,
    tree.TooManyTransfers: 503,
    # These end jobs, so that clients meet their codes in a record's `error`; only a broken model also refuses a POST.
    tree.JobFailure: 500,
    tree.ModelBroken: 409,
    tree.NonFiniteOutput: 500,
    tree.GpuOutOfMemory: 503,
    tree.OutOfMemory: 503,
    tree.MemoryLimit: 503,
    tree.WorkerLost: 503,
    tree.DeadlineExceeded: 504,
    tree.NoLikelySample: 422,
    tree.InternalFailure: 500,
    # Of HTTP alone.
    MalformedHttp: 400,
    KeyRequired: 401,
    ScopeMissing: 403,
    ForeignOrigin: 403,
    HostNotServed: 421,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    ResultDamaged: 410,
    AddressTooLong: 414,
    PreconditionFailed: 412,
    RangeNotSatisfiable: 416,
    HeadersTooLarge: 431,
    NotReady: 503,
    TooManyListeners: 503,
    TooManyConnections: 503,
}


CHALLENGES: dict[type[tree.VoxelsmithError], str] = {
    KeyRequired: 'Bearer realm="voxelsmith"',
    tree.InvalidKey: 'Bearer realm="voxelsmith", error="invalid_token"',
    ScopeMissing: 'Bearer realm="voxelsmith", error="insufficient_scope"',
}
"""WWW-Authenticate (RFC 6750, section 3)."""
RETRY_AFTER_S = {HTTPStatus.SERVICE_UNAVAILABLE: 5, HTTPStatus.TOO_MANY_REQUESTS: 30}
"""A limit waits for jobs that end or are removed, which takes longer than a queue that is away."""


DAMAGED = "The stored file does not have its SHA-256 any more; run the job again."


@contextmanager
def missing_is_damaged() -> Iterator[None]:
    """For a file that a record names: it was there."""
    try:
        yield
    except tree.UnknownResult as err:
        raise ResultDamaged("The stored file is gone; run the job again.") from err


def install(app: FastAPI) -> None:
    """Gives every error of the app the one form."""
    app.add_exception_handler(tree.VoxelsmithError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unforeseen)


def answer(request: Request, err: tree.VoxelsmithError) -> Response:
    """The problem document of one of our errors."""
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    if isinstance(err, tree.InvalidRequest):
        members["errors"] = _listed(err.errors or [("", err.detail)])
    if isinstance(err, tree.VerbNotSupported):
        members["verbs"] = err.verbs
    if isinstance(err, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{err.size_bytes}"
    if isinstance(err, NotReady):
        members["checks"] = err.checks
    if isinstance(err, MalformedHttp):
        headers["Connection"] = "close"  # what follows on it may be a part of this request
    status = STATUS[next(cls for cls in type(err).__mro__ if cls in STATUS)]
    if status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[HTTPStatus(status)])
    if type(err) in CHALLENGES:
        headers["WWW-Authenticate"] = CHALLENGES[type(err)]
    return _problem(request, status, err.code, err.title, err.detail, members, headers)


def _problem(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """RFC 9457. `instance` names the occurrence by its request id, which the server's log has too."""
    request_id = request.scope.get("request_id", "")
    body = {
        "type": f"urn:voxelsmith:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:voxelsmith:request:{request_id}",
        "code": code,
        **(members or {}),
    }
    return Response(json.dumps(body), status, {"Cache-Control": "no-store", **(headers or {})}, PROBLEM_TYPE)


def _listed(errors: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"pointer": pointer, "detail": detail} for pointer, detail in errors]


async def _answer_ours(request: Request, err: Exception) -> Response:
    assert isinstance(err, tree.VoxelsmithError)
    return answer(request, err)


async def _answer_validation(request: Request, err: Exception) -> Response:
    """Query and header parameters; bodies are read in service/http/strict_json.py."""
    assert isinstance(err, RequestValidationError)
    return answer(request, tree.InvalidRequest("A parameter of the request is not valid.", parameters(err.errors())))


async def _answer_http(request: Request, err: Exception) -> Response:
    """What the framework itself refuses: an unknown route, a method that the route does not have."""
    assert isinstance(err, HTTPException)
    if err.status_code == HTTPStatus.NOT_FOUND:
        return answer(request, tree.NotFound("There is nothing at this address; /docs lists what there is."))
    if err.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response = answer(request, MethodNotAllowed("This address does not answer this method."))
        response.headers["Allow"] = ", ".join(sorted(_allowed(request)))
        return response
    status = HTTPStatus(err.status_code)
    return _problem(request, status, status.name.lower(), status.phrase, "The request was refused.")


def _allowed(request: Request) -> set[str]:
    """Methods of every route with the request's path; the framework would name those of the first alone."""
    methods = ("GET", "HEAD", "POST", "DELETE")
    routes = request.app.router.routes
    tried = [(method, {**request.scope, "method": method}) for method in methods]
    return {method for method, scope in tried if any(route.matches(scope)[0] is Match.FULL for route in routes)}


async def _answer_nobody(_request: Request, _err: Exception) -> Response:
    """The client is gone; the status is for the metrics."""
    return Response(status_code=499)


async def _answer_unforeseen(request: Request, _err: Exception) -> Response:
    """A fault of ours. The server logs the exception; the client learns only where to look for it."""
    log.error("request %s failed; the exception follows", request.scope.get("request_id", ""))
    detail = "Something went wrong in the server; its log has this request's id."
    response = _problem(request, 500, "internal_error", "Something went wrong", detail)
    # This answer is given outside the Edge, which marks all others.
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Request-ID"] = request.scope.get("request_id", "")
    return response
