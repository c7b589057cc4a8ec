"""GET /docs: every call and schema as one plain page, written from /openapi.json. It loads nothing and runs nothing."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from service.endpoints.plain_page import POLICY

router = APIRouter(include_in_schema=False)

Schema = dict[str, Any]
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voxelsmith: the HTTP API</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2330 }
code, summary { font-family: ui-monospace, monospace; font-size: .9em }
details { border: 1px solid #d5dae2; border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0 }
summary { cursor: pointer }
td, th { padding: .1rem 1rem .1rem 0; vertical-align: top; text-align: left }
</style>
</head>
<body>
"""


@router.get("/docs")
@router.head("/docs")
def reference(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(
        _HEAD + "\n".join(_body(request.app.openapi())) + "\n</body>\n</html>\n",
        headers={"Content-Security-Policy": POLICY},
    )


def _body(schema: Schema) -> Iterator[str]:
    info = schema["info"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
    yield '<p>For programs: <a href="openapi.json">/openapi.json</a>. Where the service has API keys, every call '
    yield "below takes <code>Authorization: Bearer &lt;key&gt;</code>; /healthz and /readyz do not.</p><h2>Calls</h2>"
    for path, methods in schema["paths"].items():
        for method, call in methods.items():
            yield from _call(method.upper(), path, call)
    yield "<h2>Schemas</h2>"
    for name, shape in sorted(schema["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary>{escape(name)}</summary>'
        yield f"<p>{escape(shape.get('description', ''))}</p>{_fields(shape)}</details>"


def _call(method: str, path: str, call: Schema) -> Iterator[str]:
    yield f"<details><summary><b>{method}</b> {escape(path)}</summary><p>{escape(call.get('description', ''))}</p>"
    if call.get("parameters"):
        rows = [(entry["name"], entry["in"], _told(entry)) for entry in call["parameters"]]
        yield _table(("parameter", "in", ""), rows)
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(kind)}</code> {_type(content.get('schema', {}))}</p>"
    answers = [(status, "", escape(answer.get("description", ""))) for status, answer in call["responses"].items()]
    yield _table(("status", "", "answer"), answers) + "</details>"


def _fields(shape: Schema) -> str:
    required = shape.get("required", [])
    rows = [
        (name, "required" if name in required else "", f"{_type(field)} {_told(field)}")
        for name, field in shape.get("properties", {}).items()
    ]
    return _table(("field", "", "type"), rows) if rows else f"<p>{_type(shape)}</p>"


def _told(entry: Schema) -> str:
    """The description of a parameter or field, and its default."""
    shape = entry.get("schema", entry)
    default = f" Default: <code>{escape(str(shape['default']))}</code>." if shape.get("default") is not None else ""
    return escape(entry.get("description", "")) + default


def _type(shape: Schema) -> str:
    """A schema in a few words, with links to those that have names."""
    if "$ref" in shape:
        name = escape(shape["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    for key in ("oneOf", "anyOf", "allOf"):
        if key in shape:
            return " or ".join(_type(one) for one in shape[key])
    if "enum" in shape or "const" in shape:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in shape.get("enum", [shape.get("const")]))
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    if shape.get("type") == "object" and "properties" in shape:
        return "with " + ", ".join(f"<code>{escape(name)}</code> {_type(s)}" for name, s in shape["properties"].items())
    return escape(str(shape.get("format", shape.get("type", "anything"))))


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    """The last column is HTML already."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = (f"<tr><td><code>{escape(a)}</code></td><td>{escape(b)}</td><td>{c}</td></tr>" for a, b, c in rows)
    return f"<table><tr>{cells}</tr>{''.join(lines)}</table>"
