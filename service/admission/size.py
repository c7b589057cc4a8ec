"""How much a request asks for: voxels in all."""

import math

from contract.errors import InvalidRequest
from contract.fields import LatentSource
from contract.requests import AnyRequest
from contract.state import Placement
from model_store.card import AnyCard, ModelCard

MAX_RECORD_BYTES = 16 * 2**20
"""Of the latents in one record: the queue keeps it in memory for days."""


def check_size(request: AnyRequest, card: AnyCard, max_voxels: int, placement: Placement | None = None) -> None:
    """Refuses what would make more voxels than one job may store. A translator makes as many as its scan has:
    `check_scan_size`. Raises: InvalidRequest.

    `placement`: of the scan on whose grid each volume is stored a second time.
    """
    if not isinstance(card, ModelCard):
        return
    fitting = max_voxels // (math.prod(card.shape) + (placement.scan_voxels if placement else 0))
    if request.volumes > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(request.volumes_field, detail)])


def check_scan_size(request: AnyRequest, shape: tuple[int, int, int], max_voxels: int) -> None:
    """As `check_size`, of what is made on the scan's own grid. Raises: InvalidRequest."""
    if request.is_on_scan and math.prod(shape) > max_voxels:
        detail = f"a translation may make at most {max_voxels} voxels here"
        raise InvalidRequest("The request asks for too many voxels.", [("/volume", detail)])


def check_latents(request: AnyRequest) -> None:
    """Refuses what would repeat large latents in one record, one for each volume. Raises: InvalidRequest."""
    sizes = [len(source.model_dump_json()) for source in request.sources().values() if isinstance(source, LatentSource)]
    if request.volumes * max(sizes, default=0) > MAX_RECORD_BYTES:
        detail = "the latents of so many volumes would be too large together; ask for fewer"
        raise InvalidRequest("The record would be too large.", [(request.volumes_field, detail)])
