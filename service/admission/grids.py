"""The grid of an earlier result, spelt out, so that a queued job depends on no other job's files."""

from typing import Any, cast

from contract.errors import InvalidRequest
from contract.fields import LikeGrid, PlacedGrid
from contract.requests import AnyRequest
from service.admission.sources import Sources
from service.dependencies import Services
from service.http.errors import missing_is_damaged
from volumes.grids.field_of_view import LEAST_SIDE
from volumes.reader_limits import Limits
from volumes.upload_check import opened
from volumes.volume import VolumeError

AT = "/output/grid/like"


def with_grid(request: AnyRequest, sources: Sources, services: Services) -> AnyRequest:
    """The request with `like` replaced by the grid that it means.

    Raises: UnknownJob, ExpiredJob, ResultNotReady, UnknownResult, InvalidRequest.
    """
    chosen = request.output.grid
    if not isinstance(chosen, LikeGrid):
        return request
    key, _ = sources.volume(chosen.like, AT)
    try:
        with missing_is_damaged(), services.results.read_path(key) as path, opened(path, Limits()) as (header, _):
            shape, affine = header.shape, header.affine
    except VolumeError as err:
        raise _unfit("that result cannot be read again") from err
    if min(shape) < LEAST_SIDE:
        raise _unfit(f"that volume has a side of fewer than {LEAST_SIDE} voxels")
    grid = PlacedGrid(shape=list(shape), affine=affine.tolist())
    changed: Any = request.model_copy(update={"output": request.output.model_copy(update={"grid": grid})})
    return cast("AnyRequest", changed)


def _unfit(reason: str) -> InvalidRequest:
    return InvalidRequest("The grid cannot be made.", [(AT, reason)])
