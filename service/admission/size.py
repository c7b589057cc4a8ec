"""How much a request asks for: voxels in all."""

import math

from contract.errors import InvalidRequest
from contract.requests import AnyRequest
from contract.state import Placement
from model_store.card import ModelCard


def check_size(request: AnyRequest, card: ModelCard, max_voxels: int, placement: Placement | None = None) -> None:
    """Refuses what would make more voxels than one job may store. Raises: InvalidRequest.

    `placement`: of the scan on whose grid each volume is stored a second time.
    """
    fitting = max_voxels // (math.prod(card.shape) + (placement.scan_voxels if placement else 0))
    if request.volumes > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(request.volumes_field, detail)])
