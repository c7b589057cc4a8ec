"""What every kind of request answers for itself: what it makes, names and needs, and where it is posted."""

from typing import Any

import pytest
from pydantic import ValidationError

from contract.fields import JobSource, LatentSource, SeedSource
from contract.requests import REQUESTS, AnyRequest, GenerateRequest
from contract.state import JobKind

MOVE = {"op": "move", "direction": "d", "strengths": [1.0, 2.0, 3.0]}
MIX = {"op": "mix", "target": {"job": "b"}, "crossover": 1}
SAMPLES = [{"source": {"job": "a", "index": k}, "value": float(k)} for k in range(4)]
FIT = {"method": "regression", "name": "n", "attribute": "a", "samples": SAMPLES}
SEFA = {"method": "sefa", "name_prefix": "p", "count": 3}


def request(kind: JobKind, **fields: Any) -> AnyRequest:
    return REQUESTS[kind].model_validate({"model": "m", **fields})


@pytest.mark.parametrize(
    ("made", "volumes", "charged"),
    [
        (request("generate"), 1, 1),
        (request("generate", seeds=[3, 1]), 2, 2),
        (request("edit", source={"seed": 1}, edit=MOVE), 3, 3),
        (request("edit", source={"seed": 1}, edit=MIX), 1, 1),
        (request("encode"), 0, 1),
        (request("encode", reconstruct=True), 2, 1),
        (request("fit_direction", fit=FIT), 0, 1),
        (request("fit_direction", fit=SEFA), 0, 1),
    ],
)
def test_a_request_knows_how_many_volumes_it_stores_and_is_charged_for(
    made: AnyRequest, volumes: int, charged: int
) -> None:
    assert (made.volumes, made.samples) == (volumes, charged)


def test_what_a_request_names_can_be_put_in_its_place() -> None:
    edit = request("edit", source={"job": "a"}, edit=MIX)
    assert edit.sources() == {"/source": JobSource(job="a"), "/edit/target": JobSource(job="b")}
    assert edit.names_job
    plain = edit.with_sources({"/source": SeedSource(seed=4), "/edit/target": SeedSource(seed=5)})
    assert plain.sources() == {"/source": SeedSource(seed=4), "/edit/target": SeedSource(seed=5)}
    assert not plain.names_job
    fit = request("fit_direction", fit=FIT)
    latents = {pointer: LatentSource(latent=[float(k)]) for k, pointer in enumerate(fit.sources())}
    assert fit.with_sources(latents).sources() == latents
    assert list(latents) == [f"/samples/{k}/source" for k in range(4)]


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_webhook_is_nowhere_in_what_is_written_of_a_request(kind: str) -> None:
    hook = {"webhook": "https://receiver.example/secret"}
    needed: dict[str, Any] = {"edit": {"source": {"seed": 1}, "edit": MIX}, "fit_direction": {"fit": SEFA | hook}}
    made = request(kind, **({} if kind == "fit_direction" else hook), **needed.get(kind, {}))
    assert made.notifies == hook["webhook"]
    assert "secret" not in made.model_dump_json() + str(made.model_dump())
    assert made.settled().notifies == made.with_sources(made.sources()).notifies == made.notifies


def test_the_scan_of_an_encode_is_no_latent_that_it_names() -> None:
    encode = request("encode", source={"job": "a"})
    assert (encode.sources(), encode.scan_source, encode.names_job) == ({}, JobSource(job="a"), True)
    assert [kind for kind, cls in REQUESTS.items() if cls.takes_scan] == ["encode", "translate"]


def test_what_is_left_to_chance_is_drawn_once() -> None:
    drawn = request("generate", noise="random").settled()
    assert drawn.settled() == drawn
    assert (drawn.seed, drawn.noise_seed) == (drawn.noise_seed, drawn.seed)  # type: ignore[union-attr]
    edit = request("edit", source={"seed": 0}, edit=MOVE, noise="random").settled()
    assert edit.noise_seed == 0, "a seed of 0 is a seed"  # type: ignore[union-attr]


def test_directions_are_followed_and_made_by_name() -> None:
    assert request("edit", source={"seed": 1}, edit=MOVE).follows == "d"
    assert request("edit", source={"seed": 1}, edit=MIX).follows is None
    assert request("fit_direction", fit=SEFA).directions == ("p-1", "p-2", "p-3")
    assert request("fit_direction", fit=FIT).directions == ("n",)


def test_every_kind_has_its_own_name_and_address() -> None:
    assert {kind: cls.path for kind, cls in REQUESTS.items()} == {
        "generate": "/generate",
        "encode": "/encode",
        "edit": "/edit",
        "fit_direction": "/models/{model}/directions",
        "translate": "/translate",
    }
    assert all(cls.kind == kind for kind, cls in REQUESTS.items())


def test_one_latent_may_come_without_a_list_around_it() -> None:
    flat = GenerateRequest.model_validate_json('{"model": "m", "latents": [0, 1.5, -2]}')
    assert flat.latents == [[0.0, 1.5, -2.0]]
    with pytest.raises(ValidationError) as refusal:
        GenerateRequest.model_validate({"model": "m", "latents": [0.0] * 60 + ["x"] * 60})
    assert len(refusal.value.errors()) <= 2
