"""Requests made up from /openapi.json, good ones and bad ones: every answer is one that the schema promises."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.service_fixtures import Api, models, shared_api  # noqa: F401

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CALLS = [
    *("GET /jobs", "GET /jobs/{job_id}", "GET /jobs/{job_id}/events", "GET /jobs/{job_id}/results/{name}"),
    *("DELETE /jobs/{job_id}", "POST /generate", "POST /encode", "POST /edit", "GET /models", "GET /models/{name}"),
    "POST /translate",
    *("GET /models/{name}/directions", "POST /models/{name}/directions", "GET /models/{name}/directions/{direction}"),
    *("DELETE /models/{name}/directions/{direction}", "GET /healthz", "GET /readyz", "GET /metrics"),
]
BREAKABLE = (
    *("GET /jobs", "POST /generate", "POST /encode", "POST /edit", "POST /translate"),
    "POST /models/{name}/directions",
)
"""Calls with more than an id and plain words in them."""
SOUND, BROKEN = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def operations(shared_api: Api) -> dict[str, Any]:
    schema = schemathesis.openapi.from_dict(shared_api.http.get("/openapi.json").json())
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


def test_every_call_is_tried(operations: dict[str, Any]) -> None:
    assert set(operations) == set(CALLS)


def test_answers_and_conditions_that_a_job_must_be_there_for_are_told(shared_api: Api) -> None:
    paths = shared_api.http.get("/openapi.json").json()["paths"]
    record, file = paths["/jobs/{job_id}"], paths["/jobs/{job_id}/results/{name}"]["get"]

    def fields(call: dict[str, Any]) -> set[str]:
        return {entry["name"] for entry in call["parameters"] if entry["in"] == "header"}

    assert {"200", "304", "412"} <= set(record["get"]["responses"])
    assert {"200", "202", "204", "412"} <= set(record["delete"]["responses"])
    assert {"200", "206", "304", "307", "409", "416"} <= set(file["responses"])
    assert fields(record["get"]) == {"if-match", "if-none-match"}
    assert fields(record["delete"]) == {"if-match"}
    assert fields(file) == {"range", "if-range", "if-none-match"}


@pytest.mark.parametrize(
    ("call", "mode"), [*((call, SOUND) for call in CALLS), *((call, BROKEN) for call in BREAKABLE)]
)
def test_any_request_gets_an_answer_of_the_schema(
    operations: dict[str, Any], shared_api: Api, call: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operations[call].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Prefer": "wait=0"}  # no worker does jobs here
        answer = case.call(base_url=f"http://127.0.0.1:{shared_api.port}", timeout=60)
        if not (call == "GET /readyz" and answer.status_code == 503):
            case.validate_response(answer, checks=CHECKS)

    ask()
