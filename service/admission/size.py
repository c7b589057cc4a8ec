"""How much a request asks for: voxels in all."""

import math
from collections.abc import Sequence

from contract.errors import InvalidRequest
from contract.fields import LatentSource
from contract.fit import check_output, made_by
from contract.requests import AnyRequest
from contract.state import Placement
from model_store.card import AnyCard, ModelCard
from volumes.grids.field_of_view import Shape, voxel_size_mm

MAX_RECORD_BYTES = 16 * 2**20
"""Of the latents in one record: the queue keeps it in memory for days."""


def check_size(request: AnyRequest, card: AnyCard, max_voxels: int, placement: Placement | None = None) -> None:
    """Refuses what would make more voxels than one job may store. A translator makes as many as its scan has:
    `check_scan_size`. Raises: InvalidRequest.

    `placement`: of the scan on whose grid each volume is stored a second time.
    """
    if not isinstance(card, ModelCard):
        return
    own = _most(request, *made_by(card))
    fitting = max_voxels // (own + (_on_scan(request, placement) if placement else 0))
    if request.volumes > fitting:
        detail = f"of this model a job may make at most {fitting} volumes here"
        raise InvalidRequest("The request asks for too many voxels.", [(request.volumes_field, detail)])


def _most(request: AnyRequest, shape: Shape, spacing_mm: Sequence[float]) -> int:
    """Voxels of a volume as it is made or as it is stored, whichever are more."""
    return max(math.prod(shape), math.prod(request.output.sides(shape, spacing_mm)))


def _on_scan(request: AnyRequest, placement: Placement) -> int:
    """Raises: InvalidRequest, where the scan's volume cannot be stored on the chosen grid."""
    x, y, z = placement.scan_shape
    spacing_mm = voxel_size_mm(placement.scan_affine)
    check_output(request.output, (x, y, z), spacing_mm)
    return _most(request, (x, y, z), spacing_mm)


def check_scan_size(request: AnyRequest, shape: Shape, spacing_mm: Sequence[float], max_voxels: int) -> None:
    """As `check_size`, of what is made on the scan's own grid. Raises: InvalidRequest."""
    if request.is_on_scan and _most(request, shape, spacing_mm) > max_voxels:
        detail = f"a translation may make at most {max_voxels} voxels here"
        raise InvalidRequest("The request asks for too many voxels.", [("/volume", detail)])


def check_latents(request: AnyRequest) -> None:
    """Refuses what would repeat large latents in one record, one for each volume. Raises: InvalidRequest."""
    sizes = [len(source.model_dump_json()) for source in request.sources().values() if isinstance(source, LatentSource)]
    if request.volumes * max(sizes, default=0) > MAX_RECORD_BYTES:
        detail = "the latents of so many volumes would be too large together; ask for fewer"
        raise InvalidRequest("The record would be too large.", [(request.volumes_field, detail)])
