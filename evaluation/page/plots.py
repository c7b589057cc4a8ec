"""Plots as SVG text, for a page that needs nothing beside itself."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RIM = 420, 300, 36
Points = NDArray[np.float64]
FEWEST_ELLIPSE, DEVIATIONS = 3, 2
"""Points of a set that gets an ellipse, and how many standard deviations it shows."""
MARKS = 4
"""Bars are shown up to so many times what they are held against."""
COLOURS = {"reference": "#2b6cb0", "generated": "#c05621", "train": "#718096"}


def mds(sets: dict[str, Points]) -> dict[str, Points]:
    """Classical scaling of the pooled features to two dimensions (Torgerson 1952), in float64; signs are fixed so that
    the largest coordinate is positive."""
    pooled = np.concatenate(list(sets.values()))
    centred = pooled - pooled.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    plane = vectors[:, -2:][:, ::-1] * np.sqrt(np.clip(values[-2:][::-1], 0, None))
    plane = plane * np.where(plane[np.abs(plane).argmax(axis=0), range(plane.shape[1])] < 0, -1, 1)
    starts = np.cumsum([0, *(len(points) for points in sets.values())])
    return {name: plane[starts[k] : starts[k + 1]] for k, name in enumerate(sets)}


def scatter(sets: dict[str, Points], title: str) -> str:
    """Points (n, 2) by set, each with the ellipse of two standard deviations; the frame holds both."""
    everything = np.concatenate([ends for points in sets.values() for ends in (points, _reach(points))])
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = min((WIDTH - 2 * RIM) / max(high[0] - low[0], 1e-12), (HEIGHT - 2 * RIM) / max(high[1] - low[1], 1e-12))
    drawn = []
    for name, points in sets.items():
        at = (points - (low + high) / 2) * (scale, -scale) + (WIDTH / 2, HEIGHT / 2)
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLOURS[name]}" opacity=".65"/>' for x, y in at]
        if len(at) >= FEWEST_ELLIPSE:
            drawn.append(_ellipse(at, COLOURS[name]))
    return _figure("".join(drawn), title, list(sets))


def _reach(points: Points) -> Points:
    """The corners (2, 2) of the box about a set's ellipse; without points where it has none."""
    if len(points) < FEWEST_ELLIPSE:
        return points[:0]
    middle, reach = points.mean(axis=0), DEVIATIONS * points.std(axis=0, ddof=1)
    return np.stack([middle - reach, middle + reach])


def _ellipse(at: Points, colour: str) -> str:
    values, vectors = np.linalg.eigh(np.cov(at.T))
    rx, ry = DEVIATIONS * np.sqrt(np.clip(values[::-1], 0, None))
    turn = np.degrees(np.arctan2(vectors[1, -1], vectors[0, -1]))
    x, y = at.mean(axis=0)
    return (
        f'<ellipse rx="{rx:.1f}" ry="{ry:.1f}" transform="translate({x:.1f} {y:.1f}) rotate({turn:.1f})" '
        f'fill="none" stroke="{colour}"/>'
    )


def curves(lines: dict[str, Points], title: str, below: str) -> str:
    """Values (n,) by set over equal steps from 0 to 1."""
    top = max(float(line.max()) for line in lines.values()) or 1.0
    drawn = []
    for name, line in lines.items():
        x = RIM + (np.arange(len(line)) + 0.5) / len(line) * (WIDTH - 2 * RIM)
        y = HEIGHT - RIM - line / top * (HEIGHT - 2 * RIM)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.5"/>')
    return _figure("".join(drawn) + _axes("0", "1", below), title, list(lines))


def strip(values: Sequence[float], title: str, mark: float | None, below: str) -> str:
    """Sorted values as bars, with a line at `mark`; what is many times as much is cut off."""
    highest = max([*values, mark or 0.0, 1e-12])
    top = highest if mark is None else min(highest, MARKS * mark)
    ordered = [min(value, top) for value in sorted(values, reverse=True)]
    wide = (WIDTH - 2 * RIM) / len(ordered)
    bars = [
        f'<rect x="{RIM + k * wide:.2f}" width="{max(wide - 0.4, 0.4):.2f}" y="{HEIGHT - RIM - h:.1f}" '
        f'height="{h:.1f}" '
        f'fill="{COLOURS["generated"]}"/>'
        for k, h in enumerate(value / top * (HEIGHT - 2 * RIM) for value in ordered)
    ]
    if mark is not None:
        y = HEIGHT - RIM - mark / top * (HEIGHT - 2 * RIM)
        bars.append(
            f'<line x1="{RIM}" x2="{WIDTH - RIM}" y1="{y:.1f}" y2="{y:.1f}" stroke="#444" stroke-dasharray="4"/>'
        )
        bars.append(_beside(f"{mark:.3g}", y))
    bars.append(_beside(f"{top:.3g}" + "+" * (highest > top), RIM - 8))
    return _figure("".join(bars) + _axes("", "", below), title, [])


def _beside(told: str, y: float) -> str:
    """A value of the vertical axis."""
    return f'<text x="{RIM - 4}" y="{y + 4:.1f}" text-anchor="end">{told}</text>'


def _axes(first: str, last: str, below: str) -> str:
    y = HEIGHT - RIM
    return (
        f'<line x1="{RIM}" x2="{WIDTH - RIM}" y1="{y}" y2="{y}" stroke="#888"/>'
        f'<text x="{RIM}" y="{y + 14}">{escape(first)}</text>'
        f'<text x="{WIDTH - RIM}" y="{y + 14}" text-anchor="end">{escape(last)}</text>'
        f'<text x="{WIDTH / 2}" y="{y + 28}" text-anchor="middle">{escape(below)}</text>'
    )


def _figure(inside: str, title: str, names: Sequence[str]) -> str:
    legend = "".join(
        f'<circle cx="{RIM + 110 * k}" cy="14" r="5" fill="{COLOURS[name]}"/>'
        f'<text x="{RIM + 110 * k + 9}" y="18">{escape(name)}</text>'
        for k, name in enumerate(names)
    )
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{legend}{inside}</svg>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )
