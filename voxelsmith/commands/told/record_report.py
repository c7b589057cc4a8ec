"""What a person wants to know of a job's record: its files, its figures with units, its warnings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voxelsmith.commands.told.report import print_table, say, size_text, span_text, warn

Record = Mapping[str, Any]
_LISTED = 8
"""A longer list of numbers is told by its length; --json has it whole."""


def print_record(record: Record) -> None:
    """The files, the figures, what was assumed, and what may not mean what it seems to."""
    entries = [*record.get("results", []), *record.get("files", [])]
    if entries:
        print_table(["file", "shape", "size", "what"], [_row(entry) for entry in entries])
    for line in figures(record.get("metrics") or {}):
        say(line)
    for sentence in record.get("assumed") or []:
        warn(sentence, "assumed")
    for warning in record.get("warnings") or []:
        warn(warning)


def timings(record: Record) -> str:
    """generate with brain-demo-256: total 1.42 s (load 0.30 s, forward 1.02 s, write 0.10 s)"""
    spent = dict(record.get("timings_s") or {})
    total = spent.pop("total", None)
    parts = ", ".join(f"{stage} {span_text(seconds)}" for stage, seconds in spent.items() if seconds >= 0.005)
    told = "" if total is None else f": {span_text(total)}" + (f" ({parts})" if parts else "")
    return f"{record['kind']} with {record['model']}{told}"


def figures(metrics: Record) -> Iterator[str]:
    """A line for each thing that was measured, rounded, in its units."""
    if "psnr" in metrics:
        units = metrics.get("mae_units", "")
        yield f"likeness on the model's grid: {_likeness(metrics, units)}"
        if isinstance(metrics.get("scan_grid"), Mapping):
            yield f"likeness on the scan's grid: {_likeness(metrics['scan_grid'], units)}"
    if metrics.get("refine_loss"):
        first, last = metrics["refine_loss"][0], metrics["refine_loss"][-1]
        yield f"descent: {metrics.get('refine_steps')} steps, loss {first:.3g} to {last:.3g}"
    if metrics.get("window"):
        low, high = metrics["window"]
        yield f"window: {low:.4g} to {high:.4g} of the scan's values"
    if metrics.get("strengths"):
        yield f"strengths: {_numbers(metrics['strengths'])} SD"
    if metrics.get("directions"):
        r2 = metrics.get("r2")
        told = "" if r2 is None else f", R2 {r2:.2f} on samples held out of {metrics.get('num_samples')}"
        yield f"directions: {', '.join(map(str, metrics['directions']))}{told}"


def asked(request: Record) -> str:
    """What a request says beside its model, as name and value; what was left alone is left out."""
    return ", ".join(f"{name.removeprefix('edit.')} {value}" for name, value in _leaves(request) if name != "model")


def _row(entry: Record) -> tuple[str, str, str, str]:
    shape = "x".join(str(length) for length in entry.get("shape") or [])
    latent = entry.get("latent") or {}
    what = entry.get("label") or (f"seed {latent['seed']}" if "seed" in latent else "")
    return str(entry["name"]), shape, size_text(entry["size_bytes"]), what


def _likeness(metrics: Record, units: str) -> str:
    psnr, ssim, mae = (metrics.get(name) for name in ("psnr", "ssim", "mae"))
    parts = [
        "PSNR infinite" if psnr is None else f"PSNR {psnr:.1f} dB",
        *([] if ssim is None else [f"SSIM {ssim:.2f}"]),
        *([] if mae is None else [f"MAE {mae:.3g} {units}".rstrip()]),
    ]
    return ", ".join(parts)


def _leaves(value: Record, above: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{above}{name}.")
        elif isinstance(part, list):
            yield f"{above}{name}", _numbers(part)
        elif part is not None:
            yield f"{above}{name}", str(part)


def _numbers(values: Sequence[Any]) -> str:
    if len(values) > _LISTED or any(isinstance(value, list | Mapping) for value in values):
        return f"({len(values)} of them)"
    return ",".join(f"{value:.4g}" if isinstance(value, int | float) else str(value) for value in values)
