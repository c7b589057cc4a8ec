"""voxelsmith edit: one latent, changed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from voxelsmith.commands import grids as g
from voxelsmith.commands import options as o
from voxelsmith.commands.bodies import compose, read_vector
from voxelsmith.commands.running import run_and_report

app = typer.Typer()
ToLatent = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="As --to-seed: a .npy file.")]
MaxStrength = Annotated[
    float | None, typer.Option(min=0, help="How far --values may lie, in standard deviations; else 12.")
]


@app.command()
def edit(
    context: typer.Context,
    model: o.Model = None,
    seed: Annotated[int | None, typer.Option(help="The source: the sample of a seed.")] = None,
    latent: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="The source: a .npy file.")] = None,
    from_job: Annotated[str | None, typer.Option(metavar="ID", help="The source: a job of --server.")] = None,
    index: Annotated[int, typer.Option(min=0, help="Which latent of --latent or --from-job.")] = 0,
    direction: Annotated[str | None, typer.Option(help="`voxelsmith directions list` shows them.")] = None,
    strengths: Annotated[str | None, typer.Option(metavar="X,X,...", help="In standard deviations.")] = None,
    values: Annotated[str | None, typer.Option(metavar="X,X,...", help="Of the direction's attribute.")] = None,
    max_strength: MaxStrength = None,
    to_seed: Annotated[int | None, typer.Option(help="Interpolate with it, in --steps.")] = None,
    to_latent: ToLatent = None,
    steps: Annotated[int | None, typer.Option(help="Volumes of an interpolation, ends included.")] = None,
    mix_with: Annotated[int | None, typer.Option(help="A seed whose styles take over after --crossover.")] = None,
    crossover: Annotated[int | None, typer.Option(help="Layers that keep the source's styles.")] = None,
    truncation: o.Truncation = None,
    truncation_cutoff: o.TruncationCutoff = None,
    class_label: o.ClassLabel = None,
    noise: o.Noise = None,
    noise_seed: o.NoiseSeed = None,
    score: o.Score = None,
    format_: o.Format = None,
    dtype: o.Dtype = None,
    intensity: o.Intensity = None,
    preview: o.Preview = None,
    spacing: g.Spacing = None,
    shape: g.Shape = None,
    like: g.Like = None,
    crop: g.Crop = None,
    out: o.Out = Path("voxelsmith-out"),
    request: o.RequestFile = None,
    server: o.Server = None,
    webhook: o.Webhook = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """Change one latent: along a direction, toward another latent, or mixed with one."""
    target = _target(to_seed, mix_with, crossover, read_vector(to_latent, 0, "--to-latent"))
    changes: dict[str, dict[str, Any]] = {
        "move": {"direction": direction, "strengths": o.numbers(strengths, float, "--strengths")},
        "target": {"direction": direction, "values": o.numbers(values, float, "--values"), **_limit(max_strength)},
        "interpolate": {"target": target, "steps": steps},
        "mix": {"target": target, "crossover": crossover},
    }
    source, change = _source(seed, read_vector(latent, index, "--latent"), from_job, index), _change(changes)
    if request is None:
        _require(source, change)
    about = {"source": source, "edit": change, "class_label": o.class_label(class_label), "score": score}
    how = {"truncation": truncation, "truncation_cutoff": truncation_cutoff, "noise": noise, "noise_seed": noise_seed}
    files = {"format": format_, "dtype": dtype, "intensity": intensity, "preview": preview}
    output = files | g.chosen(spacing, shape, like, crop)
    body = compose("edit", request, model=model, **about, **how, output=output, webhook=webhook)
    run_and_report("edit", body, None, o.Way(out, server, as_json, device, precision, threads, data), context.obj)


def _limit(max_strength: float | None) -> dict[str, float]:
    return {} if max_strength is None else {"max_strength": max_strength}


def _require(source: dict[str, Any] | None, change: dict[str, Any] | None) -> None:
    """Raises: typer.BadParameter, with the options to give where a part of the request is missing."""
    if source is None:
        raise typer.BadParameter("say what to edit: --seed, --latent or --from-job")
    if change is None:
        raise typer.BadParameter(
            "say what to change: --direction with --strengths or --values, --to-seed or --to-latent with --steps, "
            "or --mix-with with --crossover"
        )


def _target(to_seed: int | None, mix_with: int | None, crossover: int | None, vector: Any) -> dict[str, Any] | None:
    """Raises: typer.BadParameter, where several are given, or a mix without its crossover."""
    if mix_with is not None and crossover is None:
        raise typer.BadParameter("--mix-with needs --crossover")
    if mix_with is not None and to_seed is not None:
        raise typer.BadParameter("give one of --to-seed and --mix-with")
    return _source(to_seed if mix_with is None else mix_with, vector, None, 0)


def _source(seed: int | None, vector: Any, job: str | None, index: int) -> dict[str, Any] | None:
    """Raises: typer.BadParameter where several are given."""
    rows: int | None = len(vector) if vector and isinstance(vector[0], list) else None
    given = [
        {"seed": seed} if seed is not None else None,
        {"latent": vector, "space": "z" if rows is None else "w"} if vector is not None else None,
        {"job": job, "index": index} if job is not None else None,
    ]
    found = [source for source in given if source is not None]
    if len(found) > 1:
        raise typer.BadParameter("give one seed, latent or job, not several")
    return found[0] if found else None


def _change(changes: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The change whose own option (the second) was given. Raises: typer.BadParameter unless there is exactly one."""
    found = [(op, fields) for op, fields in changes.items() if list(fields.values())[1] is not None]
    if len(found) > 1:
        raise typer.BadParameter("give one of --strengths, --values, --steps and --crossover")
    if not found:
        if any(value is not None for fields in changes.values() for value in fields.values()):
            raise typer.BadParameter("say how far: --strengths, --values, --steps or --crossover")
        return None
    op, fields = found[0]
    missing = [name for name, value in fields.items() if value is None]
    if missing:
        raise typer.BadParameter(
            "--direction is missing" if missing == ["direction"] else "--to-seed, --mix-with or --to-latent is missing"
        )
    return {"op": op, **fields}
