"""Settles what HA-GAN's generator file leaves open: 128 or 256 cubed, and which of its inputs are latent, which class.

Everyone who states a number is heard; whoever contradicts another is refused, not overruled.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.importers.jail import ImportRefused
from model_store.regular_files import open_regular

_SIZES = (128, 256)
_USUAL_LATENT = 1024
_MOST_GUESSED_CLASSES = 64
_MAX_CONFIG_BYTES = 1 << 20
Evidence = list[tuple[str, int | None]]
"""(where a number is stated, the number or None where it is silent)."""


@dataclass(frozen=True)
class Sizes:
    """What the files and the user together say about the networks."""

    size: int
    latent_dim: int
    num_classes: int
    note: str = ""


def settle(
    facts: dict[str, Any], stated: dict[str, int], resolution: int | None, classes: Sequence[str] | None
) -> Sizes:
    """Size, L and K from the files (`facts`, see hagan_weights.inspect), configs.json (`stated`) and the options.

    Raises:
        ImportRefused: something is contradicted, or nobody tells the resolution.
    """
    size = _agree(
        "resolution",
        [
            ("--resolution", resolution),
            ("configs.json (img_size)", stated.get("img_size")),
            ("the sub-encoder file", facts["sub_encoder_size"]),
            ("the discriminator file", facts["discriminator_size"]),
        ],
    )
    if size is None:
        raise ImportRefused(
            "The generator's weights are the same for 128 and 256 cubed. Give --resolution 128 or 256, "
            "or --config, --sub-encoder or --discriminator of the same run."
        )
    if size not in _SIZES:
        raise ImportRefused(f"HA-GAN checkpoints have resolution 128 or 256, not {size}.")
    latent: Evidence = [
        ("configs.json (latent_dim)", stated.get("latent_dim")),
        ("the sub-encoder file", facts["latent_dim"]),
    ]
    counts: Evidence = [
        ("--classes", None if classes is None else len(classes)),
        ("configs.json (num_class)", stated.get("num_class")),
        ("the discriminator file", facts["num_classes"]),
    ]
    return _split(size, facts["inputs"], _agree("latent size", latent), _agree("number of classes", counts))


def _split(size: int, inputs: int, latent_dim: int | None, num_classes: int | None) -> Sizes:
    """inputs = L + K. Where nobody tells L or K, L is the usual 1024, or all of the inputs if they are fewer."""
    note = ""
    if latent_dim is None and num_classes is None:
        num_classes = max(inputs - _USUAL_LATENT, 0)
        note = f"Only the generator was given: {num_classes} of its {inputs} inputs are taken as classes."
        if num_classes > _MOST_GUESSED_CLASSES:
            raise ImportRefused(f"The generator has {inputs} inputs; give --config or --sub-encoder of the same run.")
    if latent_dim is None:
        latent_dim = inputs - (num_classes or 0)
    if num_classes is None:
        num_classes = inputs - latent_dim
    if latent_dim < 1 or num_classes < 0 or latent_dim + num_classes != inputs:
        raise ImportRefused(
            f"The files and options do not belong together: the generator takes {inputs} inputs, the others say "
            f"a latent of {latent_dim} and {max(num_classes, 0)} classes."
        )
    return Sizes(size, latent_dim, num_classes, note)


def _agree(what: str, evidence: Evidence) -> int | None:
    """The one value of all who give one."""
    given = [(source, value) for source, value in evidence if value is not None]
    for source, value in given[1:]:
        if value != given[0][1]:
            raise ImportRefused(f"The {what} is contradicted: {given[0][0]} says {given[0][1]}, {source} says {value}.")
    return given[0][1] if given else None


def read_config(path: Path | None) -> dict[str, int]:
    """img_size, latent_dim and num_class of configs.json, as far as they are there.

    Raises:
        ImportRefused: not such a file.
    """
    if path is None:
        return {}
    try:
        with open_regular(Path(path)) as file:
            whole = json.loads(file.read(_MAX_CONFIG_BYTES).removeprefix(BOM_UTF8))
    except (OSError, ValueError, RecursionError) as err:
        raise ImportRefused("The config file is not readable JSON; it should be the run's configs.json.") from err
    if not isinstance(whole, dict):
        raise ImportRefused("The config file is not the run's configs.json: it holds no JSON object.")
    stated = {key: whole[key] for key in ("img_size", "latent_dim", "num_class") if whole.get(key) is not None}
    for key, value in stated.items():
        if type(value) is not int or value < 0:
            raise ImportRefused(f"{key} in the config file is not a whole number.")
    return stated
