"""Request bodies from options and --request: the JSON that the HTTP call takes."""

import json
from pathlib import Path
from typing import IO, Any

import numpy as np
import typer
from pydantic import ValidationError

from contract.pointers import located
from contract.requests import REQUESTS
from contract.state import JobKind
from voxelsmith.commands.wording.option_names import by_option

GROUPS = ("output", "preprocess")
"""Parts of a body whose fields are options of their own; every other option stands for a whole field."""

_OF_SAMPLES = ("/num_samples", "/seeds", "/latents")
"""Fields that say how many samples a job has."""


def compose(kind: JobKind, file: IO[str] | None, model: str | None, **options: Any) -> dict[str, Any]:
    """The body in `file` with the options that were given over it, checked as the server checks it.

    Raises: typer.BadParameter.
    """
    body = _read(file)
    field = REQUESTS[kind].body_field
    if field is not None:  # the HTTP body holds that field alone, the model being in the path
        body = {"model": model, field: body | {name: value for name, value in options.items() if value is not None}}
        options = {}
    elif model is not None:
        body["model"] = model
    for name, value in options.items():
        if name in GROUPS:
            given = {key: field for key, field in value.items() if field is not None}
            if given:
                body[name] = {**(body.get(name) or {}), **given}
        elif value is not None:
            body[name] = value
    try:
        REQUESTS[kind].model_validate_json(json.dumps(body))
    except (ValidationError, ValueError, RecursionError) as err:
        problem = _first_problem(err, body)
        raise typer.BadParameter(problem if file is None else f"{problem} (with --request)") from err
    return body


def read_vectors(path: Path | None, option: str) -> Any:
    """Latents of a .npy file as nested lists, a vector alone as a list of one. Raises: typer.BadParameter."""
    if path is None:
        return None
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise typer.BadParameter(f"{option}: {path} is not a .npy file of numbers") from err
    is_array = isinstance(array, np.ndarray) and array.size > 0
    if not (is_array and array.ndim in (1, 2, 3) and np.issubdtype(array.dtype, np.floating)):
        raise typer.BadParameter(f"{option}: {path} must hold one to three dimensions of floating-point numbers")
    return np.atleast_2d(array).astype(np.float64).tolist()


def read_vector(path: Path | None, index: int, option: str) -> Any:
    """Row `index` of a .npy file of latents. Raises: typer.BadParameter."""
    vectors = read_vectors(path, option)
    if vectors is None:
        return None
    if not 0 <= index < len(vectors):
        raise typer.BadParameter(f"{option}: {path} holds {len(vectors)} latents; there is no number {index}")
    return vectors[index]


def _read(file: IO[str] | None) -> dict[str, Any]:
    try:
        body = json.loads(file.read().removeprefix("\ufeff")) if file else {}  # an editor's mark of UTF-8
    except (ValueError, RecursionError) as err:
        raise typer.BadParameter(f"--request: not JSON: {err}") from err
    if not isinstance(body, dict):
        raise typer.BadParameter("--request: the body must be a JSON object")
    return body


def _first_problem(err: Exception, body: dict[str, Any]) -> str:
    """In the words of the server's refusal, by the option that it is about."""
    if not isinstance(err, ValidationError):
        return "the request is not valid JSON"
    pointer, what = located(err, body)[0]
    is_for_data_set = pointer in _OF_SAMPLES and err.errors()[0]["type"] in ("less_than_equal", "too_long")
    return by_option(pointer, what) + ("; `voxelsmith dataset` makes more" if is_for_data_set else "")
