"""A made volume on the grid that its request chose."""

import numpy as np

from contract.errors import InvalidRequest
from contract.fields import OutputOptions, PlacedGrid, ShapeGrid, SpacingGrid
from contract.fit import check_output
from volumes.dicom.placing import SHEARED, is_sheared
from volumes.formats import BY_NAME
from volumes.grids.chosen_grid import by_shape, by_spacing, field_of, foreground
from volumes.grids.grid import Grid, resample
from volumes.volume import Placed, Volume


def on_chosen_grid(volume: Volume, output: OutputOptions, background: float) -> Volume:
    """The volume as it is to be stored, in the same values; itself where nothing was chosen.

    `background`: what lies outside its field of view.
    Raises: InvalidRequest, where a side would be out of bounds.
    """
    if output.grid is None:
        return foreground(volume) if output.crop else volume
    check_output(output, volume.shape, volume.spacing_mm)
    return resample(volume, _grid(volume, output), background)


def check_place(output: OutputOptions, placed: Placed) -> None:
    """Raises: InvalidRequest, where the format cannot say where a volume of that grid lies."""
    if BY_NAME[output.format].is_series and is_sheared(placed):
        raise InvalidRequest(SHEARED, [("/output/format", "does not hold a volume of that grid")])


def _grid(volume: Volume, output: OutputOptions) -> Grid:
    chosen = output.grid
    if isinstance(chosen, PlacedGrid):
        x, y, z = chosen.shape
        return Grid((x, y, z), np.array(chosen.affine))
    field = field_of(volume, is_cropped=output.crop is not None)
    if isinstance(chosen, SpacingGrid):
        return by_spacing(field, chosen.spacing_mm)
    if isinstance(chosen, ShapeGrid):
        x, y, z = chosen.shape
        return by_shape(field, (x, y, z))
    raise InvalidRequest("The grid names a job that has not been looked up.", [("/output/grid/like", "needs a server")])
