"""voxelsmith train: training of the families that the project can train."""

import typer

app = typer.Typer(help="Train a model.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train a model from a folder of volumes."""
