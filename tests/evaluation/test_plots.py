"""The plots of an evaluation's page: what is drawn lies within the frame."""

import re

import numpy as np
import pytest

from evaluation.page.plots import HEIGHT, RIM, WIDTH, Points, scatter, strip

ELLIPSE = re.compile(r'<ellipse rx="(\S+)" ry="(\S+)" transform="translate\((\S+) (\S+)\) rotate\((\S+)\)"')
CIRCLE = re.compile(r'<circle cx="(\S+)" cy="(\S+)" r="2.5"')
ROUNDING = 0.5
"""Of pixels, in which ellipses are told to a tenth."""


def outlines(svg: str) -> list[Points]:
    """Each ellipse as the points (n, 2) that it goes through, in pixels."""
    around = np.linspace(0, 2 * np.pi, 720)
    found = []
    for rx, ry, x, y, turn in (map(float, match) for match in ELLIPSE.findall(svg)):
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        a = np.stack([rx * np.cos(around), ry * np.sin(around)], axis=1)
        found.append(a @ np.array([[cos, sin], [-sin, cos]]) + (x, y))
    return found


def diagonal(count: int, seed: int) -> Points:
    """Most points at one end of a slanted line and one far away: an ellipse much longer than what it is of."""
    points = np.random.default_rng(seed).normal(0, 0.1, (count, 2))
    points[0] += 10
    return points


@pytest.mark.parametrize(
    "sets",
    [
        {"reference": diagonal(11, 0), "generated": diagonal(12, 1)},
        {"reference": np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), "generated": np.array([[0.5, 0.5]])},
        {"reference": np.zeros((3, 2)), "generated": np.zeros((2, 2))},
        {"reference": np.array([[0.0, 1.0], [1.0, 1.0]]), "generated": np.linspace(0, 9, 24).reshape(3, 8)[:, :2]},
    ],
)
def test_points_and_ellipses_stay_within_the_rim(sets: dict[str, Points]) -> None:
    svg = scatter(sets, "title")
    drawn = [*outlines(svg), np.array(CIRCLE.findall(svg), float)]
    assert len(drawn) == 1 + sum(len(points) > 2 for points in sets.values())
    for points in drawn:
        assert (points >= RIM - ROUNDING).all()
        assert (points <= np.array([WIDTH, HEIGHT]) - RIM + ROUNDING).all()


def test_a_copys_realism_does_not_hide_the_others() -> None:
    svg = strip([0.5, 1000.0, 1.5], "title", 1.0, "below")
    heights = [float(height) for height in re.findall(r'<rect .*?height="(\S+)"', svg)]
    assert heights == pytest.approx([h / 4 * (HEIGHT - 2 * RIM) for h in (4.0, 1.5, 0.5)], abs=0.1)
    assert ">4+<" in svg
    assert ">4+<" not in strip([0.5, 1.5], "title", 1.0, "below")
