"""Fitted directions in the store."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import from_regex

from contract.errors import DirectionExists, UnknownDirection
from contract.fields import NAME_PATTERN
from jobs.queue import JobQueue
from jobs.results.directions import FittedDirections


@pytest.fixture
def directions(queue: JobQueue) -> FittedDirections:
    return FittedDirections(queue.results)


def test_directions_are_listed_by_model_and_name(directions: FittedDirections) -> None:
    assert directions.list("brain") == []
    for model, name in (("brain", "b"), ("brain", "a"), ("brain-2", "a")):
        directions.put(model, {"name": name, "vector": [0.6, 0.8]})
    assert [direction["name"] for direction in directions.list("brain")] == ["a", "b"]
    assert directions.get("brain", "a") == {"name": "a", "vector": [0.6, 0.8]}
    directions.delete("brain", "a")
    assert directions.names("brain") == ["b"]
    with pytest.raises(UnknownDirection):
        directions.get("brain", "a")
    with pytest.raises(UnknownDirection):
        directions.delete("brain", "a")


def test_a_name_is_taken_once_but_a_rerun_may_store_the_same(directions: FittedDirections) -> None:
    directions.put("brain", {"name": "a", "vector": [0.6, 0.8]})
    directions.put("brain", {"name": "a", "vector": [0.6, 0.8]})
    with pytest.raises(DirectionExists):
        directions.put("brain", {"name": "a", "vector": [0.8, 0.6]})
    assert directions.get("brain", "a")["vector"] == [0.6, 0.8]


@pytest.mark.parametrize("name", ["../a", "A", "a/b", "", "a..b", "a.", "a\n", "é"])
def test_what_cannot_be_a_name_is_no_direction(directions: FittedDirections, name: str) -> None:
    for use in (lambda: directions.get("brain", name), lambda: directions.delete(name, "a")):
        with pytest.raises(UnknownDirection):
            use()
    assert directions.list(name) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])
@given(model=from_regex(NAME_PATTERN), name=from_regex(NAME_PATTERN))
def test_every_name_has_a_place_in_the_store(directions: FittedDirections, model: str, name: str) -> None:
    assert re.fullmatch(r"[a-z0-9._-]{1,64}", name)
    with pytest.raises(UnknownDirection):
        directions.get(model, name)
    assert directions.names(model) == []
