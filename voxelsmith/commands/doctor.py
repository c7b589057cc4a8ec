"""voxelsmith doctor: what this machine has for it, measured, and what is missing."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from contract.version import software_version
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from service.endpoints.page import BUILT
from voxelsmith import extras
from voxelsmith.client import DEMO_MODEL
from voxelsmith.commands import options as o
from voxelsmith.commands.running import in_process
from voxelsmith.commands.told.report import print_json, print_table, say, size_text, span_text
from voxelsmith.environment import Surroundings
from voxelsmith.queue_program import find_program, kind_of
from workers.device.devices import cores, devices

app = typer.Typer()
_LIBRARIES = ("torch", "numpy", "scipy", "nibabel", "SimpleITK", "fastapi", "redis", "rq")
_LEAST_FREE_BYTES = 2 * 2**30
"""Below it a disk is called nearly full: `serve` takes no jobs below half of that."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and whether it stands in the way."""

    about: str
    found: str
    state: Literal["fine", "trouble"] = "fine"


@app.command()
def doctor(
    context: typer.Context,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Whose speed is measured.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure no speed.")] = False,
    data: o.Data = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
) -> None:
    """What this machine has: versions, device, memory, disk, models, speed. Exit code 1 where something is missing."""
    place: Surroundings = context.obj
    findings = [*_versions(), _queue(place, data), *_machine(), *_disks(place, data), _page()]
    catalogue = place.catalogue
    findings += [*_models(catalogue)]
    speed: dict[str, Any] | None = None
    if not quick and util.find_spec("torch") is not None:
        chosen = model or _usual_model(catalogue)
        if chosen is not None:
            speed = in_process().measure_speed(chosen, o.Way(Path(), None, as_json, device, precision, threads), place)
            findings += [*_told(speed)]
    bad = [finding for finding in findings if finding.state == "trouble"]
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "speed": speed})
    else:
        print_table(["about", "found"], [(finding.about, finding.found) for finding in findings])
        for finding in bad:
            say(f"trouble: {finding.about}: {finding.found}")
    if bad:
        raise typer.Exit(1)


def _versions() -> Iterator[Finding]:
    versions = {name: _version(name) for name in _LIBRARIES}
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield Finding("voxelsmith", f"{software_version()}, Python {platform.python_version()} on {platform.platform()}")
    yield Finding("libraries", there)
    if versions["torch"] is None:
        how = extras.how_to_install("worker")
        yield Finding("torch", f"not installed; jobs here and `serve` need it: {how}", "trouble")


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _queue(place: Surroundings, data: Path | None) -> Finding:
    """The server program that `serve` would start on its data folder."""
    folder = data or place.home
    try:
        program = find_program((folder or Path(tempfile.gettempdir())) / "queue")
    except OSError as err:
        return Finding("queue", f"{err.strerror}; `serve` needs one", "trouble")
    return Finding("queue", f"{kind_of(program)} at {program}")


def _machine() -> Iterator[Finding]:
    yield Finding("processor", f"{_processor()}, {cores()} of {os.cpu_count()} cores for this process")
    cards = [name for name in devices("all") if name != "cpu"]
    yield Finding("GPUs", ", ".join(cards) if cards else "no driver lists one; work is done on the CPU")
    total, free = _memory()
    yield Finding("memory", f"{size_text(total)}, {size_text(free)} of it free")


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> tuple[int, int]:
    """Of the machine, in bytes: all, and what can be had without swapping."""
    page, listed = os.sysconf("SC_PAGE_SIZE"), Path("/proc/meminfo")
    total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    rows = dict(line.split(":", 1) for line in listed.read_text().splitlines()) if listed.is_file() else {}
    available = rows.get("MemAvailable", "").split()
    return total, int(available[0]) * 1024 if available else free


def _disks(place: Surroundings, data: Path | None) -> Iterator[Finding]:
    named = {
        "data": data or place.home,
        "models": place.settings.models_path,
        "temporary files": Path(tempfile.gettempdir()),
    }
    for name, folder in named.items():
        if folder is not None:
            free = shutil.disk_usage(_there(folder)).free
            told = f"{size_text(free)} free for {folder}"
            yield Finding(f"disk, {name}", told, "fine" if free >= _LEAST_FREE_BYTES else "trouble")


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())


def _page() -> Finding:
    is_built = (BUILT / "index.html").is_file()
    return Finding("page", "built" if is_built else "not built; `make web` builds it, all else works without")


def _models(catalogue: Catalogue) -> Iterator[Finding]:
    names = [card.name for card in catalogue.cards()]
    yield Finding("models", ", ".join(names) or "none", "fine" if names else "trouble")
    for name, reason in catalogue.broken().items():
        yield Finding(f"model {name}", f"broken: {reason}", "trouble")


def _usual_model(catalogue: Catalogue) -> str | None:
    names = [card.name for card in catalogue.cards() if isinstance(card, ModelCard)]
    return DEMO_MODEL if DEMO_MODEL in names else names[0] if names else None


def _told(speed: dict[str, Any]) -> Iterator[Finding]:
    shape = "x".join(str(length) for length in speed["shape"])
    threads = f", {speed['threads']} threads" if speed["device"] == "cpu" else ""
    load, first, each = (span_text(speed[name]) for name in ("load_s", "first_s", "volume_s"))
    how = f"{speed['model']} ({shape}) on {speed['device']}, {speed['precision']}{threads}"
    yield Finding("speed", f"{how}: a volume in {each}, the first in {first} after {load} of loading")
    needs, may = speed["needs_bytes"], speed["may_use_bytes"]
    yield Finding(
        "its memory",
        f"about {size_text(needs)} at once, of the {size_text(may)} that a job may use",
        "fine" if needs <= may else "trouble",
    )
