"""How much a request asks for: voxels in all."""

from contract.errors import InvalidRequest
from contract.requests import AnyRequest
from model_store.card import AnyCard, ModelCard


def check_size(request: AnyRequest, card: AnyCard, max_voxels: int) -> None:
    """Refuses what would make more voxels than one job may store. A translator makes as many as its scan has, and those
    are counted as they come. Raises: InvalidRequest."""
    if not isinstance(card, ModelCard):
        return
    x, y, z = card.shape
    fitting = max_voxels // (x * y * z)
    if request.volumes > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(request.volumes_field, detail)])
