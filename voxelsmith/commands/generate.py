"""voxelsmith generate: volumes from seeds or latents."""

from pathlib import Path
from typing import Annotated

import typer

from contract.fields import LatentSpace
from contract.requests import GenerateRequest
from voxelsmith.commands import grids as g
from voxelsmith.commands import options as o
from voxelsmith.commands.bodies import compose, read_vectors
from voxelsmith.commands.running import run_and_report

app = typer.Typer()


@app.command()
def generate(
    context: typer.Context,
    model: o.Model = None,
    seed: Annotated[int | None, typer.Option(help="Sample k uses seed + k; drawn where none is given.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="N,N,...", help="A seed for each sample.")] = None,
    latents: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help=".npy, one row per sample.")] = None,
    latent_space: Annotated[LatentSpace | None, typer.Option(help="Of --latents.")] = None,
    num_samples: Annotated[int | None, typer.Option(help="How many volumes.")] = None,
    truncation: o.Truncation = None,
    truncation_cutoff: o.TruncationCutoff = None,
    class_label: o.ClassLabel = None,
    noise: o.Noise = None,
    noise_seed: o.NoiseSeed = None,
    score: o.Score = None,
    reject_below: Annotated[
        float | None, typer.Option(metavar="REALISM", help=o.told(GenerateRequest, "reject_below"))
    ] = None,
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
    as_json: o.Json = False,
) -> None:
    """Make volumes from seeds or latents."""
    body = compose(
        "generate",
        request,
        model=model,
        seed=seed,
        seeds=o.numbers(seeds, int, "--seeds"),
        latents=read_vectors(latents, "--latents"),
        latent_space=latent_space,
        num_samples=num_samples,
        truncation=truncation,
        truncation_cutoff=truncation_cutoff,
        class_label=o.class_label(class_label),
        noise=noise,
        noise_seed=noise_seed,
        score=score,
        reject_below=reject_below,
        output={
            "format": format_,
            "dtype": dtype,
            "intensity": intensity,
            "preview": preview,
            **g.chosen(spacing, shape, like, crop),
        },
        webhook=webhook,
    )
    way = o.Way(out, server, as_json, device, precision, threads)
    run_and_report("generate", body, None, way, context.obj)
