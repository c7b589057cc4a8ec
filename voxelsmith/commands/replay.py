"""voxelsmith replay: the job of a provenance.json once more."""

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from contract.errors import InvalidRequest, UnreadableVolume
from voxelsmith.commands import options as o
from voxelsmith.commands.running import in_process, progress_bar, whole
from voxelsmith.commands.told.report import print_json, print_table, say, size_text, telling_of_others

app = typer.Typer()
_SAME = {True: "yes", False: "no", None: "not made then"}


@app.command()
def replay(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="A provenance.json.")],
    scan: Annotated[Path | None, typer.Option(exists=True, help="That the job read.")] = None,
    mask: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="That came with the scan.")] = None,
    out: o.Out = Path("voxelsmith-out"),
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
) -> None:
    """Do a job again from its provenance.json, and say whether the same bytes came out."""
    way = o.Way(out, None, as_json, device, precision, threads)
    record = _read(file)
    if scan is None and record.get("scan") is not None:
        raise typer.BadParameter("the job needs its scan again: give it as --scan FILE")
    if mask is None and record.get("mask") is not None:
        raise typer.BadParameter("the job needs its mask again: give it as --mask FILE")
    try:
        with (
            telling_of_others(out),
            progress_bar("replay") as on_stage,
            whole(scan, _series(record)) as one,
            whole(mask) as its_mask,
        ):
            made = in_process().replay_job(record, one, way, context.obj, on_stage, its_mask)
    except UnreadableVolume:
        raise
    except InvalidRequest as err:
        raise typer.BadParameter(err.detail) from err
    before = [entry["sha256"] for entry in record["results"]]
    pairs = zip_longest(made, before[: len(made)])
    rows = [{**entry, "identical": None if sha256 is None else entry["sha256"] == sha256} for entry, sha256 in pairs]
    if as_json:
        print_json(rows)
        return
    told = [(row["name"], size_text(row["size_bytes"]), _SAME[row["identical"]]) for row in rows]
    print_table(["file", "size", "same bytes"], told)
    say(f"files in {out}")


def _series(record: Mapping[str, Any]) -> int | None:
    """That the job chose from its scan's archive."""
    number = (record.get("request") or {}).get("series")
    return number if isinstance(number, int) else None


def _read(file: Path) -> Mapping[str, Any]:
    """Raises: typer.BadParameter."""
    try:
        record = json.loads(file.read_text("utf-8-sig"))
        sound = all(isinstance(entry["name"], str) and isinstance(entry["sha256"], str) for entry in record["results"])
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise typer.BadParameter(f"{file} is not the provenance record of a job")
    return dict(record)
