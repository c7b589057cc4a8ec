"""voxelsmith encode: a scan to its latent."""

from pathlib import Path
from typing import Annotated

import typer

from voxelsmith.commands import grids as g
from voxelsmith.commands import options as o
from voxelsmith.commands.bodies import compose
from voxelsmith.commands.running import run_and_report

app = typer.Typer()


@app.command()
def encode(
    context: typer.Context,
    scan: o.Scan = None,
    model: o.Model = None,
    from_job: Annotated[str | None, typer.Option(metavar="ID", help="Instead of SCAN: a job of --server.")] = None,
    index: Annotated[int, typer.Option(min=0, help="Which result of --from-job.")] = 0,
    series: o.Series = None,
    refine_steps: Annotated[int | None, typer.Option(help="Steps of descent; 100 without an encoder.")] = None,
    reconstruct: Annotated[bool | None, typer.Option("--reconstruct", help="Also write G(E(x)) on both grids.")] = None,
    class_label: o.ClassLabel = None,
    trim_blank_slices: Annotated[bool | None, typer.Option(help="Of the scan's top and bottom.")] = None,
    window: Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="In the scan's units.")] = None,
    orientation: Annotated[str | None, typer.Option(help="Axis codes, where the file's own are wrong.")] = None,
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
    """Encode a scan: writes latents.npy, and with --reconstruct the volumes."""
    body = compose(
        "encode",
        request,
        model=model,
        source={"job": from_job, "index": index} if from_job is not None else None,
        series=series,
        refine_steps=refine_steps,
        reconstruct=reconstruct,
        class_label=o.class_label(class_label),
        preprocess={
            "trim_blank_slices": trim_blank_slices,
            "window": list(window) if window else None,
            "orientation": orientation,
        },
        output={
            "format": format_,
            "dtype": dtype,
            "intensity": intensity,
            "preview": preview,
            **g.chosen(spacing, shape, like, crop),
        },
        webhook=webhook,
    )
    if (scan is None) == (body.get("source") is None):
        raise typer.BadParameter("give either SCAN or --from-job")
    way = o.Way(out, server, as_json, device, precision, threads)
    run_and_report("encode", body, scan, way, context.obj)
