"""Options that several commands share."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from contract import fields
from contract.fields import OutputOptions, Part
from contract.requests import EncodeRequest, GenerateRequest
from volumes.formats import READABLE_HERE, FileFormat, OutputType, listed
from voxelsmith.extras import load


def address(text: str | None) -> str | None:
    """Raises: typer.BadParameter for what is no address of a server."""
    if text is not None and not text.lower().startswith(("http://", "https://")):
        raise typer.BadParameter(f"an address begins with http:// or https://; {text} does not")
    return text


def device_here(device: str | None) -> str | None:
    """Raises: typer.BadParameter for what names no device, or one that this machine lacks."""
    if device is None or device == "cpu":
        return device
    if not re.fullmatch(r"cuda(:[0-9]{1,3})?", device):
        raise typer.BadParameter("a device is cpu, or cuda:N such as cuda:0")
    count = load("workers.device.cuda", "worker").device_count()
    if int(device.partition(":")[2] or 0) >= count:
        raise typer.BadParameter(f"there is no {device} on this machine; CUDA devices that torch sees: {count}")
    return device


def told(kind: type[Part], field: str) -> str:
    """What a request says of its field: written once, for the schema and for the option."""
    return " ".join((kind.model_fields[field].description or "").split())


Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="`voxelsmith models list` shows them.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where the files go.")]
RequestFile = Annotated[
    typer.FileText | None,
    typer.Option("--request", metavar="FILE", help="JSON body as of the HTTP call ('-': standard input); options win."),
]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", callback=address, help="Send it to a server; without, run here."),
]
Webhook = Annotated[
    str | None, typer.Option("--webhook", metavar="URL", help="Address that --server tells when the job has ended.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", file_okay=False, help="Data folder of `serve`; by default this user's."),
]
Device = Annotated[str | None, typer.Option("--device", metavar="cpu|cuda:N", help="Where to compute.")]
DeviceHere = Annotated[
    str, typer.Option("--device", metavar="cpu|cuda:N", callback=device_here, help="Where to compute.")
]
"""Of commands whose work no worker does."""
Precision = Annotated[
    Literal["float32", "tf32", "bfloat16", "float16"] | None, typer.Option(help="Of the forward pass.")
]
Threads = Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 takes all cores.")]
ClassLabel = Annotated[
    str | None, typer.Option("--class", metavar="NAME|INDEX", help=told(GenerateRequest, "class_label"))
]
Truncation = Annotated[float | None, typer.Option(help=told(GenerateRequest, "truncation"))]
TruncationCutoff = Annotated[
    int | None, typer.Option("--truncation-cutoff", help=told(GenerateRequest, "truncation_cutoff"))
]
Noise = Annotated[fields.Noise | None, typer.Option(help=told(GenerateRequest, "noise"))]
NoiseSeed = Annotated[int | None, typer.Option("--noise-seed", help=told(GenerateRequest, "noise_seed"))]
Score = Annotated[bool | None, typer.Option("--score/--no-score", help=told(GenerateRequest, "score"))]
RejectBelow = Annotated[float | None, typer.Option(metavar="REALISM", help=told(GenerateRequest, "reject_below"))]
Format = Annotated[FileFormat | None, typer.Option("--format", help=told(OutputOptions, "format"))]
Dtype = Annotated[OutputType | None, typer.Option("--dtype", help=told(OutputOptions, "dtype"))]
Intensity = Annotated[fields.Intensity | None, typer.Option("--intensity", help=told(OutputOptions, "intensity"))]
Preview = Annotated[bool | None, typer.Option("--preview/--no-preview", help=told(OutputOptions, "preview"))]

Scan = Annotated[
    Path | None, typer.Argument(exists=True, help=f"{listed(READABLE_HERE)}, or the folder of a DICOM series.")
]
Series = Annotated[int | None, typer.Option("--series", min=0, metavar="NUMBER", help=told(EncodeRequest, "series"))]


@dataclass(frozen=True)
class Way:
    """How a job is to be run: here, or by a server; where its files go and how it is told."""

    out: Path
    server: str | None
    as_json: bool
    device: str | None = None
    precision: Literal["float32", "tf32", "bfloat16", "float16"] | None = None
    threads: int | None = None
    data: Path | None = None


def numbers(text: str | None, kind: type[int] | type[float], option: str) -> list[int] | list[float] | None:
    """ "-3,0,3" -> [-3, 0, 3]. Raises: typer.BadParameter."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as err:
        raise typer.BadParameter(f"{option} takes numbers with commas between them, such as 1,2,3") from err


def class_label(text: str | None) -> int | str | None:
    """An index where it is a number, otherwise a name."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text
