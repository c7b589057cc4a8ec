"""A run as Markdown, and its place in docs/performance.md."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.results import PLAIN, Iterations, Pass, Request, Run, median
from benchmarks.targets import Target

GIB = 2**30


def markdown(run: Run, targets: Iterable[Target], plot: str) -> str:
    """Everything between the markers; `plot` is the picture's path as the document sees it."""
    sections = (_place(run), f"![What a volume costs]({plot})", *_tables(run, targets))
    return "\n\n".join(section for section in sections if section)


def put_between(path: Path, marker: str, text: str) -> None:
    """Replaces what stands between <!-- marker:begin --> and <!-- marker:end --> in a document.

    Raises: ValueError, where the document has no such markers.
    """
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    before, found, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{path.name} has no markers {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _place(run: Run) -> str:
    machine = run.machine
    device = "" if machine.device == "cpu" else f" {machine.device};"
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in machine.matrix_gflops.items())
    seen = [row.other_cores for row in run.passes] + [row.other_cores for row in run.requests]
    others = [cores for cores in seen if cores is not None]
    beside = f"; other processes kept {max(others):.1f} cores busy at most" if others else ""
    width = f" at width {run.plan.width}" if run.plan.width else ""
    text = (
        f"{machine.date},{device} {machine.processor}, {machine.cores} cores, {machine.threads} threads, "
        f"{machine.capability}, torch {machine.torch}{width}. Matrix products in GFLOP/s: {rates}. "
        f"Load average before the run {machine.load_average:g}{beside}. The run took {run.took_s / 60:.0f} minutes. "
        "Median seconds."
    )
    failed = "".join(f"\n\nFailed: {failure}." for failure in run.failures)
    return "\n".join(_wrapped(text)) + failed


def _tables(run: Run, targets: Iterable[Target]) -> Iterator[str]:
    yield table_of(("goal", "wanted", "measured", ""), ((t.name, t.wanted, t.measured, t.verdict) for t in targets))
    for part, title in (("forward", "Forward pass"), ("encoder", "Encoder")):
        passes = [row for row in run.passes if row.part == part]
        if passes:
            yield f"### {title}"
            head = ("network", "way", "seconds", "faster", "peak memory", "of plain's", "of the matrix-product rate",
                    "difference to plain, largest (mean)")  # fmt: skip
            yield table_of(head, (_pass_row(run, row) for row in passes))
    if run.iterations:
        yield "### An iteration of HA-GAN's training"
        yield table_of(("network", "way", "seconds", "faster"), _iteration_rows(run.iterations))
    if run.files:
        yield "### Files, on one core"
        rows = (
            (f.volume, f.step, f.way, f"{median(f.seconds):.3f}", f"{f.size_bytes / 1e6:.1f} MB") for f in run.files
        )
        yield table_of(("volume", "step", "way", "seconds", "size"), rows)
    if run.scores:
        yield "### Score of a volume, and the forward pass before it"
        scored = ((s.model, f"{median(s.forward_seconds):.3f}", f"{median(s.score_seconds):.3f}", f"{s.share:.1%}")
                  for s in run.scores)  # fmt: skip
        yield table_of(("model", "forward", "score", "share"), scored)
    if run.patches or run.translations:
        yield "### Translation"
        yield from _translation(run)
    if run.requests or run.knocks:
        yield "### `POST /generate` until the last byte is downloaded"
        yield _requests([*run.requests, *([run.knocks] if run.knocks else [])])


def _iteration_rows(row: Iterations) -> Iterator[tuple[str, ...]]:
    name = f"{row.size}^3, width {row.width}, batch {row.batch}"
    for way, seconds in row.seconds.items():
        yield name, way, f"{median(seconds):.2f}", "" if way == PLAIN else f"{row.faster(way):.2f} x"


def _pass_row(run: Run, row: Pass) -> tuple[str, ...]:
    plain = run.find(row.part, row.size, PLAIN, row.subject)
    peak = row.device_peak_bytes or row.peak_bytes
    faster = smaller = apart = ""
    if plain and row.way != PLAIN:
        faster = f"{median(plain.seconds) / median(row.seconds):.2f} x"
        smaller = f"{peak / (plain.device_peak_bytes or plain.peak_bytes):.2f}"
    if row.difference:
        apart = f"{row.difference.largest:.1e} ({row.difference.mean:.1e})"
    seconds, share = f"{median(row.seconds):.3f}", f"{row.fraction:.0%} of {row.matrix_gflops:,.0f}"
    return f"{row.subject} {row.size}^3", row.way, seconds, faster, f"{peak / GIB:.2f} GiB", smaller, share, apart


def _requests(requests: list[Request]) -> str:
    """One row per kind of request; the worker's stages as its records name them."""
    stages = list(dict.fromkeys(name for row in requests for name in row.stage_medians()))
    head = ("model", "precision", "samples", "first", "then", "per sample", *stages, "worker's peak", "size")
    return table_of(head, (_request_row(row, stages) for row in requests))


def _request_row(row: Request, stages: list[str]) -> tuple[str, ...]:
    spent, peak = row.stage_medians(), row.worker_peak_bytes
    whole = median(row.seconds)
    return (
        row.model, row.precision, str(row.num_samples), f"{row.first_s:.2f}", f"{whole:.3f}",
        f"{whole / row.num_samples:.3f}", *(f"{spent.get(stage, 0.0):.3f}" for stage in stages),
        f"{peak / GIB:.2f} GiB" if peak else "-", f"{row.size_bytes / 1e6:.1f} MB",
    )  # fmt: skip


def _translation(run: Run) -> Iterator[str]:
    """Patches of an HR network both ways, then memory against the edge (figure 4 of MEGAN's paper)."""
    if run.patches:
        row, head = run.patches, ("network", "way", "patches per second", "faster", "of the matrix-product rate")
        ours, plain = (1 / median(seconds) for seconds in (row.seconds, row.plain_seconds))
        name = f"HR, width {row.width}, {row.blocks} blocks"
        share = f"{row.fraction:.0%} of {row.matrix_gflops:,.0f}"
        yield table_of(head, ((name, "one by one", f"{plain:.2f}", "", ""),
                              (name, "ours", f"{ours:.2f}", f"{ours / plain:.2f} x", share)))  # fmt: skip
    if run.translations:
        head = ("to a cube of", "seconds", "worker's peak", "beyond weights and scan", "on the device")
        yield table_of(
            head,
            (
                (f"{row.size}^3", f"{row.seconds:.0f}", f"{row.peak_bytes / GIB:.2f} GiB",
                 f"{row.beyond_bytes / GIB:.2f} GiB", f"{row.device_bytes / 2**20:.0f} MiB")
                for row in run.translations
            ),
        )  # fmt: skip


def table_of(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("  |", " |") for line in lines)


def _wrapped(text: str, width: int = 120) -> Iterator[str]:
    """Lines of at most `width` characters."""
    yield from re.findall(rf"(.{{1,{width}}})(?:\s|$)", text)
