"""voxelsmith models add and edit: a trained model beside the others, and what its card tells people."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from model_store.adoption import WRITABLE, adopt, card_in, rewrite
from model_store.card import CARD, AnyCard
from model_store.catalogue import SHIPPED
from voxelsmith.commands.told.report import say
from voxelsmith.commands.training.options import stored_options
from voxelsmith.commands.training.running import tell_size
from voxelsmith.environment import Surroundings

Title = Annotated[str | None, typer.Option(help="What people call the model.")]
Anatomy = Annotated[str | None, typer.Option(help="What its volumes show.")]
Licence = Annotated[str | None, typer.Option(help="Of its weights.")]


def add(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Of a model, or of a training run.")],
    name: Annotated[str | None, typer.Option(help="The model's name here; without it its own.")] = None,
    title: Title = None,
    anatomy: Anatomy = None,
    licence: Licence = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
) -> None:
    """Put a trained model beside the others.

    What its card does not say is asked for at a terminal, and left empty elsewhere.
    """
    place: Surroundings = context.obj
    model = folder if (folder / CARD).exists() else folder / str(stored_options(folder).get("name", ""))
    card = card_in(model)
    given = {"title": title, "anatomy": anatomy, "licence": licence}
    texts = {key: text if text is not None else _asked_for(key, card) for key, text in given.items()}
    root = place.open_models()
    made = adopt(model, root, name or card.name, texts, force)
    say(f"added {made.name} to {root}")
    tell_size(root / made.name)


def edit(
    context: typer.Context,
    name: str,
    title: Title = None,
    anatomy: Anatomy = None,
    licence: Licence = None,
) -> None:
    """Change what a model's card tells people. Shipped models stay."""
    place: Surroundings = context.obj
    folder = place.catalogue.folder(name)
    if folder.parent == SHIPPED:
        raise typer.BadParameter(f"{name} ships with Voxelsmith and stays as it is")
    given = {"title": title, "anatomy": anatomy, "licence": licence}
    texts = {key: text for key, text in given.items() if text is not None}
    if not texts:
        raise typer.BadParameter(f"give one of {', '.join('--' + key for key in WRITABLE)}")
    card = rewrite(folder, texts)
    for key in texts:
        say(f"{key}: {getattr(card, key)}")


def _asked_for(key: str, card: AnyCard) -> str:
    """What the card says already, or what a person at a terminal types."""
    text = str(getattr(card, key))
    if text or not sys.stdin.isatty():
        return text
    return str(typer.prompt(key.capitalize(), default="", show_default=False))
