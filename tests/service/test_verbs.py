"""What a model can do: GET /models says it, and anything else is refused before it is queued."""

from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_onnx import write_onnx
from tests.support.models.tiny_translator import register, write_translator
from tests.support.service_fixtures import serving

BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/generate", {"model": "m"}),
    ("/encode", {"model": "m", "source": {"seed": 1}}),
    ("/edit", {"model": "m", "source": {"seed": 1}, "edit": {"op": "move", "direction": "d", "strengths": [1]}}),
    ("/models/m/directions", {"method": "sefa", "name_prefix": "d", "count": 1}),
]
SEED = {"seed": 1}
INWARD: list[tuple[str, dict[str, Any], str]] = [
    ("/encode", {"model": "closed", "source": SEED, "refine_steps": 5, "class_label": 0}, "refine"),
    (
        "/edit",
        {"model": "closed", "source": SEED, "edit": {"op": "mix", "target": SEED, "crossover": 0}, "class_label": 0},
        "mix",
    ),
    ("/models/closed/directions", {"method": "sefa", "name_prefix": "d", "count": 1}, "SeFa"),
]


def test_models_say_what_they_can_and_refuse_the_rest(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    write_translator(tmp_path / "models", "m")
    write_tiny_hagan(tmp_path / "models", "tiny")
    write_onnx(tmp_path / "models", "closed")
    with serving(settings.model_copy(update={"port": 0, "models_url": str(tmp_path / "models")})) as api:
        generators = {name: api.http.get(f"/models/{name}").json() for name in ("tiny", "closed")}
        assert all(model["verbs"] == ["generate", "encode", "edit"] for model in generators.values())
        assert [model["is_open"] for model in generators.values()] == [True, False]
        translator = api.http.get("/models/m").json()
        assert (translator["verbs"], translator["target_domain"]) == (["translate"], "T1-weighted MR")
        assert "latent" not in translator
        listed = {item["name"]: item for item in api.http.get("/models").json()["items"]}
        assert listed["m"] == translator
        assert api.http.get("/models/m/directions").json() == {"items": []}
        assert api.http.get("/models/m/directions/d").status_code == 404
        for path, body in BODIES:
            problem = api.http.post(path, json=body)
            assert (problem.status_code, problem.json()["code"]) == (422, "verb_not_supported"), path
            assert problem.json()["verbs"] == ["translate"]
            assert problem.json()["errors"] == [{"pointer": "/model", "detail": "this model can translate"}]
        for path, body, told in INWARD:  # what needs a network's layers or its gradient
            problem = api.http.post(path, json=body)
            assert (problem.status_code, problem.json()["code"]) == (422, "verb_not_supported"), path
            assert problem.json()["verbs"] == ["generate", "encode", "edit"]
            assert told in problem.json()["detail"]
        assert api.http.get("/jobs").json()["items"] == []
