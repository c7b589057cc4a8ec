"""How much a request asks for: voxels in all."""

from contract.errors import InvalidRequest
from contract.requests import AnyRequest
from model_store.card import ModelCard


def check_size(request: AnyRequest, card: ModelCard, max_voxels: int) -> None:
    """Refuses what would make more voxels than one job may store. Raises: InvalidRequest."""
    x, y, z = card.shape
    fitting = max_voxels // (x * y * z)
    if request.volumes > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(request.volumes_field, detail)])
