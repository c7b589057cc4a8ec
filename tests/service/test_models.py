"""Models and their directions; health and readiness."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import shutil
import time
from pathlib import Path

from jobs.results.directions import FittedDirections
from jobs.settings import Settings
from model_store.catalogue import Catalogue
from tests.support.processes import ValkeyProcess
from tests.support.service_fixtures import Api, api, direction_card, models, serving, until, write_models  # noqa: F401
from tests.support.sides import deliveries, scripts

MOVE = {"op": "move", "direction": "mine", "strengths": [1]}


def fit_by_hand(server: Api, models: Path, name: str = "mine", method: str = "regression") -> None:
    """What a worker does at the end of a fit."""
    card = Catalogue([models]).card("tiny")
    FittedDirections(server.queue.results).put("tiny", direction_card(card, name, method).model_dump(mode="json"))


def test_models_are_listed_with_the_broken_one_and_its_reason(api: Api) -> None:
    items = {item["name"]: item for item in api.http.get("/models").json()["items"]}
    assert {"tiny", "tiny-ct", "tiny-classes", "tiny-broken"} <= set(items)
    assert items["tiny"]["status"] == "ready"
    assert items["tiny"]["shape"] == [32, 32, 32]
    assert items["tiny-classes"]["classes"] == ["healthy", "severe"]
    assert items["tiny-broken"]["status"] == "broken"
    assert "weights.safetensors" in items["tiny-broken"]["reason"]
    assert "/" not in items["tiny-broken"]["reason"]
    assert api.http.get("/models/tiny").json() == items["tiny"]
    assert api.http.get("/models/tiny-broken").json() == items["tiny-broken"]


def test_a_model_that_a_worker_could_not_load_is_broken(api: Api, models: Path) -> None:
    reason = "weights.safetensors: generator.common.fc1.weight has values that are not finite"
    tried = Catalogue([models]).card("tiny-ct").fingerprint
    faults = {"tiny-ct": {"card": tried, "reason": reason}, "tiny": {"card": "of an older card", "reason": reason}}
    deliveries(api.queue).beat("worker", {"faults": faults})
    until(lambda: api.http.get("/models/tiny-ct").json()["status"] == "broken")
    assert api.http.get("/models/tiny-ct").json()["reason"] == reason
    assert api.post("/generate", {"model": "tiny-ct"}).json()["code"] == "model_broken"
    assert api.http.get("/models/tiny").json()["status"] == "ready"


def test_a_model_that_appears_or_goes_is_noticed(settings: Settings, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    with serving(settings.model_copy(update={"port": 0, "models_url": f"file://{folder}"})) as api:
        shutil.rmtree(folder / "tiny")
        assert api.http.get("/models/tiny").status_code == 404
        shutil.copytree(models / "tiny", folder / "tiny")
        assert api.http.get("/models/tiny").status_code == 200


def test_a_damaged_direction_hides_no_other_and_can_be_removed(api: Api, models: Path, tmp_path: Path) -> None:
    fit_by_hand(api, models, "sound-1", "sefa")
    (tmp_path / "cut.json").write_text('{"name": "cut-1", "vec')
    api.queue.results.write("directions/tiny/cut-1.json", tmp_path / "cut.json")
    place = "/models/tiny/directions"
    names = {item["name"] for item in api.http.get(place).json()["items"]}
    assert "sound-1" in names
    assert "cut-1" not in names
    assert api.http.get(f"{place}/cut-1").status_code == 404
    fit = {"method": "sefa", "name_prefix": "cut", "count": 1}
    assert api.post(place, fit).json()["code"] == "direction_exists"
    assert api.http.delete(f"{place}/cut-1").status_code == 204
    assert api.post(place, fit).status_code == 202


def test_directions_shipped_and_fitted_are_listed_without_their_vectors(api: Api, models: Path) -> None:
    fit_by_hand(api, models)
    items = api.http.get("/models/tiny/directions").json()["items"]
    assert [(item["name"], item["shipped"], item["stale"]) for item in items] == [
        ("mine", False, False),
        ("shipped-one", True, False),
    ]
    assert "vector" not in items[0]
    assert items[0]["r2"] == 0.9
    assert len(api.http.get("/models/tiny/directions/mine").json()["vector"]) == 8


def test_an_edit_carries_a_fitted_direction_with_it(api: Api, models: Path) -> None:
    fit_by_hand(api, models)
    answer = api.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": MOVE})
    assert answer.status_code == 202, answer.text
    payload = deliveries(api.queue).claim(answer.json()["id"], 1, "test").payload
    assert payload["direction"]["name"] == "mine"
    assert "direction" not in answer.json()["request"]


def test_a_sefa_direction_has_no_target(api: Api, models: Path) -> None:
    fit_by_hand(api, models, "s-1", "sefa")
    edit = {"op": "target", "direction": "s-1", "values": [1]}
    answer = api.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": edit})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/edit/direction")
    taken = api.post("/models/tiny/directions", {"method": "sefa", "name_prefix": "s", "count": 2})
    assert (taken.status_code, taken.json()["code"]) == (409, "direction_exists")


def test_a_fitted_direction_can_be_removed(api: Api, models: Path) -> None:
    fit_by_hand(api, models)
    path = "/models/tiny/directions/mine"
    assert api.http.delete(path).status_code == 204
    assert api.http.delete(path).status_code == 404
    assert api.http.get(path).status_code == 404


def test_a_fit_is_queued(api: Api) -> None:
    answer = api.post("/models/tiny/directions", {"method": "sefa", "name_prefix": "p", "count": 2})
    record = answer.json()
    assert (answer.status_code, record["kind"], record["model"]) == (202, "fit_direction", "tiny")
    assert deliveries(api.queue).claim(record["id"], 1, "test").payload["fit"]["name_prefix"] == "p"


def test_ready_means_a_live_worker(api: Api) -> None:
    assert api.http.get("/healthz").json() == {"status": "ok"}
    answer = api.http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["checks"] == {
        "queue": True,
        "store": True,
        "workers": 0,
        "draining": 0,
        "durable": True,
    }
    scripts(api.queue).call("beat", "w1", '{"device": "cpu"}', 10)
    answer = api.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "queue": True,
        "store": True,
        "workers": 1,
        "draining": 0,
        "durable": True,
    }


def test_a_queue_that_is_gone_is_told_within_seconds(
    own_valkey: ValkeyProcess, settings: Settings, models: Path
) -> None:
    own = settings.model_copy(update={"port": 0, "models_url": str(models)})
    own = Settings(**{**own.model_dump(), "redis_url": own_valkey.url})
    with serving(own) as api:
        job_id = api.submit()
        own_valkey.kill()
        began = time.monotonic()
        for answer in (
            api.post("/generate", {"model": "tiny"}),
            api.http.get("/jobs"),
            api.http.get(f"/jobs/{job_id}"),
            api.http.get(f"/jobs/{job_id}/events"),
            api.http.delete(f"/jobs/{job_id}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
            assert "retry-after" in answer.headers
            assert "sock" not in answer.text
        assert api.http.get("/readyz").json()["checks"]["queue"] is False
        assert "voxelsmith_queue_up 0.0" in api.http.get("/metrics").text
        assert api.http.get("/healthz").status_code == 200
        assert api.http.get("/models").status_code == 200
        assert time.monotonic() - began < 60
        own_valkey.start()
        assert api.http.get(f"/jobs/{job_id}").json()["state"] == "queued"
