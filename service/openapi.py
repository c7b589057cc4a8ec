"""What /openapi.json says of bodies that the endpoints read as raw bytes, and of answers that they write themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contract.direction_fits import RegressionFit, SefaFit
from contract.requests import EditRequest, EncodeRequest, GenerateRequest, TranslateRequest
from contract.state import JobRecord
from volumes.formats import READABLE, listed

_KEY = "An API key. A service on loopback that never had one asks for none."
TEMPLATE = "#/components/schemas/{model}"
DESCRIBED: tuple[type[BaseModel], ...] = (
    GenerateRequest,
    EncodeRequest,
    EditRequest,
    TranslateRequest,
    RegressionFit,
    SefaFit,
    JobRecord,
)


class ErrorItem(BaseModel):
    """One place that is wrong."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[ErrorItem] | None = None
    verbs: list[str] | None = None
    """With `verb_not_supported`: what the model can do."""


def _ref(name: str) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(model=name)}


_PROBLEM = {"content": {"application/problem+json": {"schema": _ref("Problem")}}}
_RECORD = {"content": {"application/json": {"schema": _ref("JobRecord")}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request was refused", **_PROBLEM},
    "5XX": {"description": "The service cannot do it now", **_PROBLEM},
    422: {"description": "The request is not valid; `errors` says where", **_PROBLEM},
}
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Queued",
        **_RECORD,
        "headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}},
    },
    200: {"description": "Ended within the seconds of `Prefer: wait`", **_RECORD},
    **PROBLEMS,
}
_CHANGED = {"description": "The record is not the one that `If-Match` names", **_PROBLEM}
RECORD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The record", **_RECORD, "headers": {"ETag": {"schema": {"type": "string"}}}},
    304: {"description": "The client has this record"},
    412: _CHANGED,
}
DELETED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The record of a job that was queued and is canceled", **_RECORD},
    202: {"description": "The record of a running job that was asked to stop", **_RECORD},
    204: {"description": "The job had ended, and is removed with its files"},
    412: _CHANGED,
}
EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "state, progress, result and end events", "content": {"text/event-stream": {}}},
    204: {"description": "The stream was read to its end before"},
}
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", **_BYTES},
    206: {"description": "The range of the file", **_BYTES},
    304: {"description": "The client has this file"},
    307: {"description": "The file lies in a bucket, at the address in Location for a short time"},
    409: {"description": "The job has not made it yet", **_PROBLEM},
    416: {"description": "The range lies outside the file", **_PROBLEM},
}


def json_body(*names: str) -> dict[str, Any]:
    """The description of a JSON body: one of some schemas."""
    schema: dict[str, Any] = _ref(names[0]) if len(names) == 1 else {"oneOf": [_ref(name) for name in names]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_FILE_PARTS = {
    "volume": f"A {listed(READABLE)} file, told by its content; of a volume in two files each is such a part",
    "mask": "Such a file on the volume's grid: 0 background, 1 to 4 kinds of pathology",
}


def scan_body(name: str, *beside: str) -> dict[str, Any]:
    """The description of a body that takes a scan, and the parts `beside` it that may come along: a form, or JSON."""
    files = {
        part: {"type": "string", "format": "binary", "description": _FILE_PARTS[part]} for part in ("volume", *beside)
    }
    form = {"type": "object", "required": ["volume", "request"], "properties": {**files, "request": _ref(name)}}
    content = {
        "multipart/form-data": {"schema": form, "encoding": {"request": {"contentType": "application/json"}}},
        "application/json": {"schema": _ref(name)},
    }
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole schema, made once per app."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        if app.servers:
            schema["servers"] = app.servers
        _, extra = models_json_schema(
            [
                *((model, "validation") for model in DESCRIBED[:-1]),
                (JobRecord, "serialization"),
                (Problem, "validation"),
            ],
            ref_template=TEMPLATE,
        )
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {}).update(extra["$defs"])
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": _KEY}}
        schema["security"] = [{}, {"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema
