"""The grid of stored volumes, from options: a voxel size, a shape, or another volume's grid."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from contract.errors import UnreadableVolume
from contract.fields import OutputOptions
from volumes.reader_limits import LARGEST
from volumes.two_files import as_one_file
from volumes.upload_check import check
from volumes.volume import VolumeError
from voxelsmith.commands.options import numbers, told

Spacing = Annotated[
    str | None, typer.Option("--spacing", metavar="X,Y,Z", help="Resample each volume to this voxel size in mm.")
]
Shape = Annotated[str | None, typer.Option("--shape", metavar="X,Y,Z", help="Resample each volume to so many voxels.")]
Like = Annotated[
    str | None,
    typer.Option("--like", metavar="FILE|ID[:K]", help="On the grid of a file, or of result K of a job of --server."),
]
Crop = Annotated[Literal["foreground"] | None, typer.Option("--crop", help=told(OutputOptions, "crop"))]


def chosen_grid(spacing: str | None, shape: str | None, like: str | None) -> dict[str, Any] | None:
    """The request's `output.grid`. Raises: typer.BadParameter; UnreadableVolume, of the file."""
    if sum(option is not None for option in (spacing, shape, like)) > 1:
        raise typer.BadParameter("give one of --spacing, --shape and --like")
    if spacing is not None:
        return {"spacing_mm": numbers(spacing, float, "--spacing")}
    if shape is not None:
        return {"shape": numbers(shape, int, "--shape")}
    return None if like is None else _like(like)


def chosen(spacing: str | None, shape: str | None, like: str | None, crop: str | None) -> dict[str, Any]:
    """The fields of the request's `output` that say where its volumes lie. Raises: as `chosen_grid`."""
    return {"grid": chosen_grid(spacing, shape, like), "crop": crop}


def _like(text: str) -> dict[str, Any]:
    if Path(text).exists():
        try:
            with as_one_file(Path(text)) as one:
                header = check(one, LARGEST)
        except VolumeError as err:
            raise UnreadableVolume(err.detail) from err
        return {"shape": list(header.shape), "affine": header.affine.tolist()}
    job, _, index = text.partition(":")
    if index and not (index.isascii() and index.isdecimal()):
        raise typer.BadParameter("--like takes a file, or a job's id and perhaps :K")
    return {"like": {"job": job, "index": int(index or 0)}}
