"""voxelsmith study: the papers' tables on data that anyone has."""

import typer

from voxelsmith.commands.studies import hagan, inflation, parameters, translation, truncation

app = typer.Typer(help="The papers' tables on data that anyone has.", no_args_is_help=True)
app.command()(translation.megan)
app.command()(translation.translation)
app.command()(inflation.inflation)
app.command()(parameters.parameters)
app.command()(hagan.regression)
app.command()(hagan.memory)
app.command()(hagan.augmentation)
app.command()(truncation.truncation)


@app.callback()
def group() -> None:
    """One command per study."""
