"""voxelsmith study: the papers' tables on data that anyone has."""

import typer

from voxelsmith.commands import study_translation

app = typer.Typer(help="The papers' tables on data that anyone has.", no_args_is_help=True)
app.command()(study_translation.megan)
app.command()(study_translation.translation)


@app.callback()
def group() -> None:
    """One command per study."""
