"""A run as a picture: six panels on what a volume costs."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import LOW, PLAIN, Pass, Request, Run, median

COLOURS = {PLAIN: "#8c8c8c", "float32": "#1f6fb4", "tf32": "#3fa3a3", "bfloat16": "#e08a1e", "float16": "#b5443c"}
STAGES = ("#c9c9c9", "#44597a", "#b98fae", "#8fb08c", "#d9b44a", "#7d6b99", "#a0714f", "#5c5c5c")
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def draw(run: Run, path: Path) -> None:
    """Writes a PNG of 1650 x 1050 pixels; a panel whose part was left out stays empty and says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(11, 7), dpi=150, layout="constrained")
        axes = figure.subplots(2, 3)
        _passes(axes[0][0], run, "forward")
        _memory(axes[0][1], run)
        _passes(axes[0][2], run, "encoder")
        _stages(axes[1][0], run)
        _by_samples(axes[1][1], run)
        _by_size(axes[1][2], run)
        device = run.machine.processor if run.machine.device == "cpu" else run.machine.device
        figure.suptitle(f"{device}, {run.machine.threads} threads, {run.machine.date}", x=0.01, ha="left", fontsize=9)
        # No date or version of matplotlib inside: the same run gives the same bytes.
        figure.savefig(path, metadata={"Software": None})


def _passes(axes: Any, run: Run, part: str) -> None:
    title = "Forward pass" if part == "forward" else "Encoder"
    rows = [row for row in run.passes if row.part == part]
    _title(axes, title, "seconds", empty=not rows)
    _bars(axes, rows, [median(row.seconds) for row in rows], "s")


def _memory(axes: Any, run: Run) -> None:
    rows = [row for row in run.passes if row.part == "forward"]
    _title(axes, "Peak memory of the forward pass", "GiB", empty=not rows)
    _bars(axes, rows, [(row.device_peak_bytes or row.peak_bytes) / 2**30 for row in rows], "GiB")


def _bars(axes: Any, rows: list[Pass], values: list[float], unit: str) -> None:
    """Horizontal bars, a group per network and size, the value beside each."""
    places: list[float] = []
    labels: dict[tuple[str, int], list[float]] = {}
    at = 0.0
    for number, row in enumerate(rows):
        network = (row.subject, row.size)
        if number and network != (rows[number - 1].subject, rows[number - 1].size):
            at += 0.7
        places.append(at)
        labels.setdefault(network, []).append(at)
        at += 1.0
    if not rows:
        return
    axes.barh(places, values, height=0.9, color=[_colour(row.way) for row in rows])
    for place, row, value in zip(places, rows, values, strict=True):
        axes.text(value, place, f" {row.way} {value:.3g} {unit}", va="center", fontsize=7)
    axes.set_yticks([sum(at) / len(at) for at in labels.values()])
    axes.set_yticklabels([f"{subject}\n{size}³" for subject, size in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.45 * max(values))
    axes.invert_yaxis()


def _colour(way: str) -> str:
    """Paler in the low-memory mode."""
    shade = COLOURS.get(way.removesuffix(LOW), "#333333")
    return f"{shade}80" if way.endswith(LOW) else shade


def _stages(axes: Any, run: Run) -> None:
    """One sample of the largest size, split, by precision."""
    size = max((row.size for row in run.main_requests), default=0)
    rows = [row for row in run.main_requests if row.size == size and row.num_samples == min(run.plan.counts)]
    _title(axes, f"POST /generate, one sample of {size}³", "seconds", empty=not rows)
    names = list(dict.fromkeys(name for row in rows for name in row.stage_medians()))
    for at, row in enumerate(rows):
        left = 0.0
        for colour, name in zip(STAGES * 2, names, strict=False):
            spent = row.stage_medians().get(name, 0.0)
            axes.barh(at, spent, left=left, height=0.5, color=colour, label=name if at == 0 else None)
            left += spent
        axes.text(left, at, f" {left:.2f} s", va="center", fontsize=7)
    if rows:
        axes.set_yticks(range(len(rows)), [row.precision for row in rows])
        axes.set_ylim(len(rows) + 0.6, -0.6)
        axes.margins(x=0.15)
        axes.legend(ncols=4, loc="lower left", handlelength=1.0, columnspacing=1.0)


def _by_samples(axes: Any, run: Run) -> None:
    size = max((row.size for row in run.main_requests), default=0)
    _title(axes, f"A request of several samples, {size}³", "seconds per sample", empty=not size, along="num_samples")
    for precision in run.machine.precisions:
        rows = [row for row in run.main_requests if row.size == size and row.precision == precision]
        _line(axes, precision, [(r.num_samples, median(r.seconds) / r.num_samples) for r in rows])
        _line(axes, f"{precision}, forward alone", [(r.num_samples, _forward_s(rows)) for r in rows], dashed=True)
    if size:
        axes.set_ylim(bottom=0)
        axes.set_xticks(run.plan.counts)
        axes.legend()


def _forward_s(rows: list[Request]) -> float:
    """Of one sample alone."""
    return rows[0].stage_medians().get("forward", 0.0)


def _by_size(axes: Any, run: Run) -> None:
    _title(axes, "By resolution", "seconds", empty=not run.passes, along="edge of the volume, voxels")
    for way in (PLAIN, *run.machine.precisions):
        passes = [row for row in run.passes if (row.part, row.subject, row.way) == ("forward", "hagan", way)]
        _line(axes, f"forward, {way}", [(row.size, median(row.seconds)) for row in passes], colour=way)
    requests = [row for row in run.main_requests if run.passes and (row.precision, row.num_samples) == ("float32", 1)]
    points = [(row.size, median(row.seconds)) for row in requests]
    _line(axes, "whole request, float32", points, colour="float32", dashed=True)
    if run.passes:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(run.plan.sizes, [f"{size}" for size in run.plan.sizes])
        axes.minorticks_off()
        if axes.get_legend_handles_labels()[0]:
            axes.legend()


def _line(
    axes: Any, label: str, points: list[tuple[int, float]], colour: str | None = None, dashed: bool = False
) -> None:
    if points:
        shade = COLOURS.get(colour or label.partition(",")[0], "#333333")
        axes.plot(*zip(*points, strict=True), "--" if dashed else "-", marker="o", ms=4, color=shade, label=label)


def _title(axes: Any, title: str, unit: str, empty: bool, along: str | None = None) -> None:
    """`along`: what the horizontal axis is, where the unit belongs to the vertical one."""
    axes.set_title(title)
    axes.set_xlabel(along or unit)
    if along:
        axes.set_ylabel(unit)
    if empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
