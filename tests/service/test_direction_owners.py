"""Whose a fitted direction is: its key removes it, and has so many."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

from pathlib import Path

import pytest

from contract.errors import DirectionExists
from jobs.keys import ApiKeys, Scope
from jobs.results.directions import FittedDirections
from jobs.settings import Settings
from tests.service.test_keys import Guarded, guarded  # noqa: F401
from tests.support.service_fixtures import LEASE_S, direction_card, models, serving  # noqa: F401
from tests.support.sides import deliveries


def test_a_key_removes_the_directions_that_it_fitted_and_no_others(guarded: Guarded) -> None:
    body = {"method": "sefa", "name_prefix": "mine", "count": 2}
    job = guarded.alice.post("/models/tiny/directions", body).json()["id"]
    owner = deliveries(guarded.api.queue).claim(job, 1, "w").payload["owner"]
    fitted = FittedDirections(guarded.api.queue.results)
    card = guarded.api.services.registry.card("tiny")
    for name in ("mine-1", "mine-2", "other"):
        fitted.put("tiny", direction_card(card, name).model_dump(mode="json"), owner if name != "other" else "")
    address = "/models/tiny/directions"
    assert guarded.bob.http.delete(f"{address}/mine-1").json()["code"] == "scope_missing"
    assert guarded.alice.http.delete(f"{address}/other").status_code == 403
    assert guarded.alice.http.delete(f"{address}/mine-1").status_code == 204
    assert fitted.owned(owner) == ["tiny/mine-2"]
    assert guarded.admin.http.delete(f"{address}/mine-2").status_code == 204
    assert fitted.owned(owner) == []
    with pytest.raises(DirectionExists):
        fitted.put("tiny", direction_card(card, "other", "sefa").model_dump(mode="json"), owner)
    assert fitted.owned(owner) == []


def test_a_key_has_so_many_directions(settings: Settings, models: Path) -> None:
    changes = {"port": 0, "models_url": str(models), "lease_s": LEASE_S, "key_max_directions": 2}
    with serving(settings.model_copy(update=changes)) as api:
        _, token = ApiKeys(api.queue.redis, api.settings).create("alice", {Scope.JOBS})
        headers = {"Authorization": f"Bearer {token}"}
        for count, status in ((3, 429), (2, 202)):
            body = {"method": "sefa", "name_prefix": "mine", "count": count}
            answer = api.post("/models/tiny/directions", body, **headers)
            assert answer.status_code == status, answer.text
        assert len(api.http.get("/models/tiny/directions", headers=headers).json()["items"]) == 1
