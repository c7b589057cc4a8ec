"""A public scan that a shipped model learns from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """`file`: its name in the folder that a recipe is given."""

    file: str
    origin: str
    licence: str
