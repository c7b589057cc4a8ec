"""voxelsmith translate: a scan in the appearance of a model's target domain."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from voxelsmith.commands import grids as g
from voxelsmith.commands import options as o
from voxelsmith.commands.bodies import compose
from voxelsmith.commands.running import run_and_report

app = typer.Typer()


@app.command()
def translate(
    context: typer.Context,
    scan: o.Scan = None,
    model: o.Model = None,
    from_job: Annotated[str | None, typer.Option(metavar="ID", help="Instead of SCAN: a job of --server.")] = None,
    index: Annotated[int, typer.Option(min=0, help="Which result of --from-job.")] = 0,
    series: o.Series = None,
    mask: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Pathologies on SCAN's grid: 0, and 1 to 4.")
    ] = None,
    edges_given: Annotated[
        bool | None, typer.Option("--edges-given", help="SCAN is an edge image, with values from 0 to 255.")
    ] = None,
    grid: Annotated[
        Literal["scan", "cube"] | None, typer.Option(help="True proportions or stretched; by default the model's own.")
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
    """Translate a scan: one volume on the scan's own grid."""
    body = compose(
        "translate",
        request,
        model=model,
        source={"job": from_job, "index": index} if from_job is not None else None,
        series=series,
        edges="given" if edges_given else None,
        grid=grid,
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
    if mask is not None and scan is None:
        raise typer.BadParameter("--mask goes with SCAN")
    way = o.Way(out, server, as_json, device, precision, threads)
    run_and_report("translate", body, scan, way, context.obj, mask)
