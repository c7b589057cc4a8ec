"""voxelsmith models: list, show, verify, remove, add, edit, import."""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from model_store.card import AnyCard, ModelCard
from model_store.catalogue import SHIPPED
from model_store.faults import FolderFault
from model_store.importers.hagan import import_hagan
from model_store.importers.megan import AUTHORS_LR_SIZE, Target, import_megan
from model_store.importers.onnx import Meaning, import_onnx
from model_store.importers.stylegan3d import import_stylegan3d
from voxelsmith.commands import models_added
from voxelsmith.commands.told.report import print_json, print_table, say
from voxelsmith.commands.wording.texts import CommandGroup
from voxelsmith.environment import Surroundings
from voxelsmith.extras import require

app = typer.Typer(help="The model store.", no_args_is_help=True)
imports = typer.Typer(help="Bring a trained checkpoint of another project into the store.", no_args_is_help=True)
app.add_typer(imports, name="import", cls=CommandGroup)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Weights = typer.Option(exists=True, readable=True, help="A file, or a folder with one.")
Name = Annotated[str, typer.Option(help="The model's name here.")]
Intensity = Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Stored units of -1 and 1.")]
Classes = Annotated[str | None, typer.Option(metavar="NAME,NAME,...", help="Of a conditional model.")]
Axes = Annotated[str | None, typer.Option(help='Where the network\'s axes point, such as "IAL".')]
Spacing = Annotated[tuple[float, float, float] | None, typer.Option(metavar="MM MM MM")]
Licence = Annotated[str, typer.Option(help="Of the weights, for the card.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a model of that name.")]


@app.command("list")
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """All models, the broken ones with the reason."""
    place: Surroundings = context.obj
    catalogue = place.catalogue
    cards, broken = catalogue.cards(), catalogue.broken()
    if as_json:
        print_json([*(_facts(card) for card in cards), *_broken_rows(broken)])
        return
    rows = [(card.name, card.family, _shape(card), card.modality, _abilities(card), card.title) for card in cards]
    rows += [(name, "broken", "", "", "", reason) for name, reason in broken.items()]
    print_table(["name", "family", "shape", "modality", "can", "title"], rows)


@app.command()
def show(context: typer.Context, name: str) -> None:
    """One model's card as JSON, with the directions that ship with it."""
    place: Surroundings = context.obj
    catalogue = place.catalogue
    card = catalogue.card(name)
    names = [direction["name"] for direction in catalogue.directions(name)]
    print_json({**_facts(card), "directions": names})


@app.command()
def verify(context: typer.Context, name: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Hash the files of one model, or of all, against its card. Exit code 1 when one does not match."""
    place: Surroundings = context.obj
    catalogue = place.catalogue  # a new one knows nothing yet, so it reads and hashes every file
    broken = {key: reason for key, reason in catalogue.broken().items() if name in (None, key)}
    if name is not None and name not in broken:
        catalogue.card(name)
    sound = []
    for card in (card for card in catalogue.cards() if name in (None, card.name)):
        try:
            with catalogue.files(card.name):  # those of a bucket are hashed as they come
                sound.append(card)
        except FolderFault as err:
            broken[card.name] = err.detail
    if as_json:
        print_json(
            [*({"name": card.name, "sha256": card.sha256, "broken": None} for card in sound), *_broken_rows(broken)]
        )
    else:
        rows = [(card.name, "sound", f"{card.sha256[:16]}...") for card in sound]
        print_table(["name", "state", "sha256 or reason"], [*rows, *((n, "broken", why) for n, why in broken.items())])
    if broken:
        raise typer.Exit(1)


@app.command()
def remove(
    context: typer.Context,
    name: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model of the model folder. Shipped models stay."""
    place: Surroundings = context.obj
    folder = place.catalogue.folder(name)
    if folder.parent == SHIPPED:
        raise typer.BadParameter(f"{name} ships with Voxelsmith and cannot be removed")
    if not yes:
        typer.confirm(f"Delete {folder}?", abort=True)
    # Renamed first: a server scanning the folder sees it whole or not at all.
    hidden = folder.with_name(f".removed-{name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)
    say(f"removed {name}")


app.command()(models_added.add)
app.command()(models_added.edit)


@imports.command("hagan")
def import_hagan_files(
    context: typer.Context,
    name: Name,
    generator: Annotated[Path, Weights],
    encoder: Annotated[Path | None, Weights] = None,
    sub_encoder: Annotated[Path | None, Weights] = None,
    discriminator: Annotated[Path | None, typer.Option(exists=True, help="Looked at for sizes only.")] = None,
    config: Annotated[Path | None, typer.Option(exists=True, help="configs.json of the training run.")] = None,
    resolution: Annotated[Literal["128", "256"] | None, typer.Option(help="Where no file tells.")] = None,
    intensity: Intensity = None,
    classes: Classes = None,
    modality: Annotated[Literal["CT", "MR"], typer.Option()] = "CT",
    axes: Axes = None,
    spacing: Spacing = None,
    licence: Licence = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Checkpoints in the format of the HA-GAN authors: G, and E with Sub_E to encode."""
    place: Surroundings = context.obj
    card = import_hagan(
        name,
        generator,
        place.open_models(),
        encoder=encoder,
        sub_encoder=sub_encoder,
        discriminator=discriminator,
        config=config,
        resolution=int(resolution) if resolution else None,
        intensity=intensity,
        classes=classes.split(",") if classes else None,
        modality=modality,
        axes=axes,
        spacing_mm=spacing,
        licence=licence,
        force=force,
    )
    _report(card, place, as_json)


@imports.command("stylegan3d")
def import_stylegan3d_file(
    context: typer.Context,
    name: Name,
    pickle: Annotated[Path, typer.Option(exists=True, dir_okay=False, readable=True, help="network-*.pkl")],
    use: Annotated[Literal["gs", "g"], typer.Option(help="Gs, the moving average, or G.")] = "gs",
    intensity: Intensity = None,
    classes: Classes = None,
    modality: Annotated[Literal["CT", "MR"], typer.Option()] = "MR",
    axes: Axes = None,
    spacing: Spacing = None,
    psi: Annotated[float | None, typer.Option(help="Truncation where a request gives none.")] = None,
    cutoff: Annotated[int | None, typer.Option(help="Truncate the first styles only, so many.")] = None,
    licence: Licence = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A pickle in the format of the 3D-StyleGAN authors (Hong et al.)."""
    place: Surroundings = context.obj
    card = import_stylegan3d(
        name,
        pickle,
        place.open_models(),
        use=use,
        intensity=intensity,
        classes=classes.split(",") if classes else None,
        modality=modality,
        axes=axes,
        spacing_mm=spacing,
        psi=psi,
        cutoff=cutoff,
        licence=licence,
        force=force,
    )
    _report(card, place, as_json)


@imports.command("megan")
def import_megan_files(
    context: typer.Context,
    name: Name,
    lr: Annotated[Path, typer.Option(exists=True, readable=True, help="NETG_best.pth of ..._LR, or its folder.")],
    hr: Annotated[
        list[Path] | None,
        typer.Option(exists=True, readable=True, help="That of ..._HR1; once more for each HR network."),
    ] = None,
    lr_size: Annotated[int, typer.Option(help="Edge of the cube that LR makes.")] = AUTHORS_LR_SIZE,
    target: Annotated[
        str, typer.Option(help='Domain that the networks were trained on, such as "T1-weighted MR".')
    ] = "",
    modality: Annotated[Literal["CT", "MR"], typer.Option()] = "MR",
    intensity: Intensity = None,
    input_window: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Of scans that come in, as for CT.")
    ] = None,
    axes: Axes = None,
    grid: Annotated[Literal["scan", "cube"], typer.Option(help="Where a request names none.")] = "cube",
    licence: Licence = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Checkpoints in the format of the MEGAN authors (Uzunova et al.): one generator per scale."""
    place: Surroundings = context.obj
    card = import_megan(
        name,
        lr,
        hr or [],
        place.models,
        lr_size=lr_size,
        target=Target(target, modality, intensity, input_window, axes, grid),
        licence=licence,
        force=force,
    )
    _report(card, place, as_json)


@imports.command("onnx")
def import_onnx_files(
    context: typer.Context,
    name: Name,
    generator: Annotated[Path, typer.Option(exists=True, dir_okay=False, readable=True, help="z in, a volume out.")],
    axes: Annotated[str, typer.Option(help='Where the network\'s axes point, such as "IAL".')],
    encoder: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, readable=True, help="A volume in, its z out.")
    ] = None,
    z_dim: Annotated[int | None, typer.Option(min=1, help="Numbers of z, where the file does not say it.")] = None,
    shape: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="A0 A1 A2", help="Of the volume, where the file does not say it."),
    ] = None,
    network_range: Annotated[
        tuple[float, float], typer.Option("--range", metavar="LOW HIGH", help="Of the network's values.")
    ] = (-1.0, 1.0),
    intensity: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Stored units of both ends of that range.")
    ] = None,
    classes: Classes = None,
    modality: Annotated[Literal["CT", "MR"], typer.Option()] = "MR",
    spacing: Spacing = None,
    licence: Licence = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Any trained generator as an ONNX file: z (and a class) in, a volume out."""
    place: Surroundings = context.obj
    require("onnxruntime", "onnx")
    names = tuple(classes.split(",")) if classes else ()
    card = import_onnx(
        name,
        generator,
        place.open_models(),
        Meaning(axes, z_dim, shape, network_range, intensity, modality, spacing, names),
        encoder=encoder,
        licence=licence,
        force=force,
    )
    _report(card, place, as_json)


def _report(card: AnyCard, place: Surroundings, as_json: bool) -> None:
    """What an import brought."""
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        say(f"imported {card.name} ({_shape(card)}, {_abilities(card)}) into {place.models / card.name}")


def _facts(card: AnyCard) -> dict[str, Any]:
    return card.model_dump(mode="json") | card.abilities


def _broken_rows(broken: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "broken": reason} for name, reason in broken.items()]


def _shape(card: AnyCard) -> str:
    return "x".join(str(length) for length in card.shape) if isinstance(card, ModelCard) else "the scan's"


def _abilities(card: AnyCard) -> str:
    """Its verbs; an encode without an encoder is a descent of minutes, which is no ability to show off."""
    is_slow = isinstance(card, ModelCard) and not card.has_encoder
    verbs = [f"{verb} (by descent)" if verb == "encode" and is_slow else verb for verb in card.verbs]
    classes = [f"{len(card.classes)} classes"] if isinstance(card, ModelCard) and card.classes else []
    return ", ".join([*verbs, *classes])
