"""The table of errors, the problem document, and what the schema says."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import ast
import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI

import service
from contract import errors as tree
from contract.errors import InvalidRequest
from service.dependencies import MAX_WAITERS
from service.http import errors
from service.http.errors import STATUS
from service.http.strict_json import read
from service.metrics import Metrics
from tests.support.service_fixtures import Api, api, models, shared_api  # noqa: F401
from tests.support.sides import deliveries

APP_PROBLEM = "application/problem+json"


def family(base: type[tree.VoxelsmithError]) -> Iterator[type[tree.VoxelsmithError]]:
    yield base
    for child in base.__subclasses__():
        yield from family(child)


def test_every_error_of_the_tree_has_its_row_and_no_row_is_left_over() -> None:
    known = {
        cls for cls in family(tree.VoxelsmithError) if cls.__module__ in ("contract.errors", "service.http.errors")
    }
    assert set(STATUS) == known
    assert all(400 <= status < 600 for status in STATUS.values())


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in STATUS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    app = FastAPI()
    errors.install(app)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError("/etc/passwd secret")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/fault")

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == APP_PROBLEM
    assert answer.json()["code"] == "internal_error"
    for word in ("secret", "passwd", "RuntimeError", "Traceback"):
        assert word not in answer.text


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, "x", null, true]}', '"[[[[{{{{"', '{"a":"\\ud83d\\ude00"}', " 1 "])
def test_sound_json_is_read(text: str) -> None:
    assert read(text.encode()) == json.loads(text)


def test_json_may_nest_sixteen_levels() -> None:
    read(b"[" * 16 + b"]" * 16)
    with pytest.raises(InvalidRequest):
        read(b"[" * 17 + b"]" * 17)


def test_the_schema_describes_every_body_and_every_answer(shared_api: Api) -> None:
    schema = shared_api.http.get("/openapi.json").json()
    names = set(schema["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/([A-Za-z]+)", json.dumps(schema))) <= names
    assert not {"HTTPValidationError", "ValidationError"} & names
    for path, calls in schema["paths"].items():
        for method, call in calls.items():
            assert "4XX" in call["responses"], path
            if method == "post":
                assert "application/json" in call["requestBody"]["content"], path
                assert {"200", "202"} <= set(call["responses"])
    generate = schema["components"]["schemas"]["GenerateRequest"]["properties"]
    assert {"model", "seed", "seeds", "latents", "truncation", "output"} <= set(generate)
    volume = schema["paths"]["/encode"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert volume["required"] == ["volume", "request"]


def test_endpoints_ask_one_thing_and_return_it() -> None:
    rooms = ("submit", "jobs", "results", "models", "health", "page")
    trees = [ast.parse(Path(f"{service.__path__[0]}/endpoints/{room}.py").read_text()) for room in rooms]
    endpoints = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(ast.unparse(decorator).startswith("router.") for decorator in node.decorator_list)
    ]
    assert len(endpoints) >= 15
    for endpoint in endpoints:
        asks_nobody = not endpoint.args.args
        assert isinstance(endpoint, ast.FunctionDef) or asks_nobody, f"{endpoint.name} would block the loop"
        body = endpoint.body[1:] if ast.get_docstring(endpoint) else endpoint.body
        assert body[-1].end_lineno - body[0].lineno < 12, endpoint.name  # type: ignore[operator]
        loops = ast.For, ast.While, ast.Try, ast.With
        assert not [node for node in ast.walk(endpoint) if isinstance(node, loops)], endpoint.name


def test_as_many_wait_as_there_are_threads_and_as_many_listen_as_there_are_connections(api: Api) -> None:
    job_id = api.submit()
    for _ in range(api.free_places()):
        api.services.listeners.acquire()
    for _ in range(MAX_WAITERS):
        api.waiters.acquire()
    answer = api.http.get(f"/jobs/{job_id}/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_listeners")
    began = time.monotonic()
    assert api.post("/generate", {"model": "tiny"}, Prefer="wait=30").status_code == 202
    assert time.monotonic() - began < 25, "Prefer is only a wish"


def test_metrics_tell_how_many_jobs_wait_and_run(api: Api) -> None:
    first = api.submit()
    api.submit()
    deliveries(api.queue).claim(first, 1, "test")
    text = api.http.get("/metrics").text
    assert 'voxelsmith_jobs{state="queued"} 1.0' in text
    assert 'voxelsmith_jobs{state="running"} 1.0' in text


def test_metrics_have_closed_labels_and_a_registry_per_app(api: Api) -> None:
    api.http.get("/jobs/nope-1")
    api.http.request("BREW", "/coffee")
    text = api.http.get("/metrics").text
    assert 'route="/jobs/{job_id}",status="404"' in text
    assert 'method="other",route="unmatched"' in text
    assert "nope-1" not in text
    assert "coffee" not in text
    assert "voxelsmith_queue_up 1.0" in text
    assert Metrics().registry is not Metrics().registry
