"""GET /models and /models/{name}; the directions of a model: list, look, fit, remove."""

from typing import Any

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.responses import Response

from contract.direction_fits import Fit
from contract.requests import FitDirectionRequest
from jobs.keys import Scope
from service.admission.submission import submit
from service.answers import Direction, DirectionList, ModelList, ReadyModel, ReadyTranslator, UnusableModel
from service.dependencies import AppServices, Caller, Card, Jobs, ModelName, Models, Post, needs
from service.http.body import JsonBody
from service.http.replies import accepted, plain
from service.http.strict_json import parse
from service.openapi import ACCEPTED, PROBLEMS, json_body

router = APIRouter(tags=["models"], responses=PROBLEMS)
FIT: TypeAdapter[Any] = TypeAdapter(Fit)


@router.get("/models", response_model=ModelList)
@router.head("/models", include_in_schema=False)
def list_models(registry: Models) -> Response:
    """The cards of all models. A broken one is listed with its reason and cannot be used."""
    return plain({"items": registry.models()})


@router.get("/models/{name}", response_model=ReadyModel | ReadyTranslator | UnusableModel)
@router.head("/models/{name}", include_in_schema=False)
def get_model(name: ModelName, registry: Models) -> Response:
    """One card."""
    return plain(registry.model(name))


@router.get("/models/{name}/directions", response_model=DirectionList)
@router.head("/models/{name}/directions", include_in_schema=False)
def list_directions(card: Card, registry: Models) -> Response:
    """The model's named latent directions, without their vectors."""
    return plain({"items": [entry.summary(card) for entry in registry.directions(card)]})


@router.get("/models/{name}/directions/{direction}", response_model=Direction)
@router.head("/models/{name}/directions/{direction}", include_in_schema=False)
def get_direction(card: Card, direction: str, registry: Models) -> Response:
    """One direction, with its vector."""
    entry = registry.direction(card, direction)
    return plain({**entry.summary(card), "vector": entry.card.vector})


@router.post(
    "/models/{name}/directions",
    status_code=202,
    responses=ACCEPTED,
    openapi_extra=json_body("RegressionFit", "SefaFit"),
    dependencies=[needs(Scope.JOBS)],
)
def fit_direction(card: Card, body: JsonBody, services: AppServices, jobs: Jobs, fields: Post) -> Response:
    """Queues the fit of one direction by regression, or of several by SeFa."""
    request = FitDirectionRequest(model=card.name, fit=parse(FIT, body))
    return accepted(*submit(request, services, jobs, fields))


@router.delete("/models/{name}/directions/{direction}", status_code=204, response_class=Response)
def remove_direction(card: Card, direction: str, registry: Models, caller: Caller) -> Response:
    """Removes a direction that was fitted here, for everybody: an admin any, a key its own. One that came with the
    model stays."""
    registry.remove_direction(card, direction, caller)
    return Response(status_code=204)
