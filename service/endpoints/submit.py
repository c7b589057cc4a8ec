"""POST /generate, /encode, /edit, /translate: 202 and the place where the job can be watched."""

from fastapi import APIRouter
from starlette.responses import Response

from contract.requests import EditRequest, EncodeRequest, GenerateRequest, TranslateRequest
from service.admission.submission import submit
from service.admission.uploads import WithScan, WithScanAndMask
from service.dependencies import AppServices, Jobs, Post
from service.http.body import JsonBody
from service.http.replies import accepted
from service.http.strict_json import parse
from service.openapi import ACCEPTED, json_body, scan_body

router = APIRouter(tags=["jobs"])


@router.post("/generate", status_code=202, responses=ACCEPTED, openapi_extra=json_body("GenerateRequest"))
def generate(body: JsonBody, services: AppServices, jobs: Jobs, fields: Post) -> Response:
    """Queues the making of volumes from a seed, seeds or latents. Without any of them the server draws a seed."""
    return accepted(*submit(parse(GenerateRequest, body), services, jobs, fields))


@router.post("/encode", status_code=202, responses=ACCEPTED, openapi_extra=scan_body("EncodeRequest"))
def encode(body: WithScan, services: AppServices, jobs: Jobs, fields: Post) -> Response:
    """Queues the encoding of a scan: the `volume` part of a form, or the result that the JSON's `source` names."""
    return accepted(*submit(parse(EncodeRequest, body.request), services, jobs, fields, body.scan))


@router.post("/edit", status_code=202, responses=ACCEPTED, openapi_extra=json_body("EditRequest"))
def edit(body: JsonBody, services: AppServices, jobs: Jobs, fields: Post) -> Response:
    """Queues a change of one latent: along a direction, to a target value, toward another latent, or mixed with one."""
    return accepted(*submit(parse(EditRequest, body), services, jobs, fields))


@router.post("/translate", status_code=202, responses=ACCEPTED, openapi_extra=scan_body("TranslateRequest", "mask"))
def translate(body: WithScanAndMask, services: AppServices, jobs: Jobs, fields: Post) -> Response:
    """Queues the translation of a scan: the `volume` part of a form, perhaps with a `mask` of pathologies on its grid,
    or the result that the JSON's `source` names."""
    return accepted(*submit(parse(TranslateRequest, body.request), services, jobs, fields, body.scan, body.mask))
