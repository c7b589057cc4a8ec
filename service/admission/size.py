"""How much a request asks for: samples, and voxels in all."""

from contract.errors import InvalidRequest
from contract.requests import (
    AnyRequest,
    EditRequest,
    FitDirectionRequest,
    GenerateRequest,
    InterpolateEdit,
    MoveEdit,
    RegressionFit,
    TargetEdit,
)
from model_store.card import ModelCard


def samples_of(request: AnyRequest) -> int:
    """Volumes that the network makes or reads for a request, stored or not; at least 1."""
    match request:
        case GenerateRequest():
            return request.count
        case EditRequest(edit=MoveEdit() as edit):
            return len(edit.strengths)
        case EditRequest(edit=TargetEdit() as edit):
            return len(edit.values)
        case EditRequest(edit=InterpolateEdit() as edit):
            return edit.steps
        case FitDirectionRequest(fit=RegressionFit(measure=measure) as fit) if measure is not None:
            return fit.num_samples
        case _:
            return 1


def check_size(request: AnyRequest, card: ModelCard, max_voxels: int) -> None:
    """Refuses what would make more voxels than one job may store. Raises: InvalidRequest."""
    if isinstance(request, FitDirectionRequest):  # measures its volumes and stores none
        return
    x, y, z = card.shape
    fitting = max_voxels // (x * y * z)
    if samples_of(request) > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(_pointer(request), detail)])


def _pointer(request: AnyRequest) -> str:
    """The field that sets the number of samples."""
    match request:
        case GenerateRequest():
            return next((f"/{name}" for name in ("seeds", "latents") if getattr(request, name)), "/num_samples")
        case EditRequest(edit=MoveEdit()):
            return "/edit/strengths"
        case EditRequest(edit=TargetEdit()):
            return "/edit/values"
        case EditRequest(edit=InterpolateEdit()):
            return "/edit/steps"
        case _:
            return "/model"
