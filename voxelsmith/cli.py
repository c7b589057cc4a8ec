"""The command line: `voxelsmith`. Reads the environment once, joins the commands, turns errors into exit codes.

Exit codes: 0 done, 2 wrong use, 1 failed with one line on standard error, 130 interrupted.
"""

import errno
import os
import signal
import sys
import tempfile
from importlib import metadata
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from contract.errors import UnknownDirection, UnknownJob, UnknownModel, VoxelsmithError
from contract.plain_text import plain
from contract.pointers import described
from contract.version import software_version
from jobs.settings import misspelt
from model_store.catalogue import NoSuchFolder
from model_store.faults import Refusal
from voxelsmith.commands import (
    dataset,
    demo,
    directions,
    doctor,
    du,
    edit,
    encode,
    evaluate,
    generate,
    jobs,
    keys,
    models,
    replay,
    serve,
    translate,
    verify,
)
from voxelsmith.commands import workers as workers_commands
from voxelsmith.commands.studies import study
from voxelsmith.commands.training import train
from voxelsmith.commands.wording.texts import CommandGroup
from voxelsmith.data_folder import DataFolderError
from voxelsmith.environment import survey
from voxelsmith.extras import MissingExtraError
from voxelsmith.local import StackError
from voxelsmith.problems import ClientError, JobInterrupted

INTERRUPTED = 130
"""As shells tell of a SIGINT."""
EXPECTED = (
    *(VoxelsmithError, ClientError, Refusal, NoSuchFolder),
    *(DataFolderError, StackError, MissingExtraError),
)


class CommandLine(CommandGroup):
    """The root group: an expected error is one line and exit code 1, never a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        """As click's; a Ctrl-C is a KeyboardInterrupt from here on, which it is not while libraries load."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return super().main(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        code = 1
        try:
            return super().invoke(ctx)
        except EXPECTED as err:
            line = _line(err)
            code = INTERRUPTED if isinstance(err, JobInterrupted) else code
        except typer.BadParameter as err:
            err.message = plain(err.message)
            raise
        except OSError as err:
            if err.filename is None:
                raise
            line = _lack(err)
        sys.stderr.write(f"voxelsmith: {plain(line)}\n")
        raise typer.Exit(code)


def _lack(err: OSError) -> str:
    """What a file or a disk refuses, by the user's own path."""
    folder = tempfile.gettempdir()
    if err.errno in (errno.ENOSPC, errno.EDQUOT) and str(err.filename).startswith(folder + os.sep + "voxelsmith-"):
        return f"there is no room for temporary files in {folder}; TMPDIR names another folder"
    return f"{err.filename}: {err.strerror}"


def _line(err: Exception) -> str:
    if isinstance(err, NoSuchFolder | UnknownModel):
        return "there is no model of that name; `voxelsmith models list` shows those there are"
    if isinstance(err, UnknownJob):
        return "there is no job of that id; `voxelsmith jobs list` shows those there are"
    if isinstance(err, UnknownDirection):
        return "the model has no direction of that name; `voxelsmith directions list MODEL` shows those there are"
    return " ".join(str(getattr(err, "detail", None) or err).split())


app = typer.Typer(
    name="voxelsmith",
    cls=CommandLine,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(is_asked: bool) -> None:
    """The same bytes are promised per version, and on the same torch."""
    if is_asked:
        typer.echo(f"voxelsmith {software_version()}" + "".join(f" (torch {version})" for version in _torch_versions()))
        raise typer.Exit


def _torch_versions() -> list[str]:
    """One, or none where the worker's extra is not installed."""
    try:
        return [metadata.version("torch")]
    except metadata.PackageNotFoundError:
        return []


@app.callback()
def root(
    context: typer.Context,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="DIR", envvar="VOXELSMITH_MODELS_URL", help="Model folder beside the shipped one."
        ),
    ] = None,
    _asks_version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version, and torch's.")
    ] = False,
) -> None:
    """The inference server for 3D medical-image GANs."""
    try:
        context.obj = survey(os.environ, models)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"VOXELSMITH_{name.upper()}: {described(first)}") from err
    for name, meant in misspelt(os.environ).items():
        typer.echo(f"{name} is not a setting" + (f"; is {meant} meant?" if meant else ""), err=True)


app.add_typer(serve.app)
app.add_typer(demo.app)
app.add_typer(generate.app)
app.add_typer(encode.app)
app.add_typer(edit.app)
app.add_typer(translate.app)
app.add_typer(dataset.app)
app.add_typer(evaluate.app)
app.add_typer(replay.app)
app.add_typer(jobs.app, name="jobs", cls=CommandGroup)
app.add_typer(models.app, name="models", cls=CommandGroup)
app.add_typer(directions.app, name="directions", cls=CommandGroup)
app.add_typer(keys.app, name="keys", cls=CommandGroup)
app.add_typer(workers_commands.app, name="workers", cls=CommandGroup)
app.add_typer(train.app, name="train", cls=CommandGroup)
app.add_typer(study.app, name="study", cls=CommandGroup)
app.add_typer(verify.app)
app.add_typer(du.app)
app.add_typer(doctor.app)
