"""What is told of a data folder before training: what is used, how values and extents lie, and what may be wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model_store.folder import replacing
from training.engine.data import scans_in
from training.engine.errors import DataRefused
from training.engine.modality import by_guess, guess, listed, sequences_in
from training.engine.survey import Survey, middle_extent
from volumes.files import read
from volumes.intensity import window_of
from volumes.preview import three_planes
from volumes.reader_limits import LARGEST
from volumes.two_files import as_one_file

NEARLY_ALL = 0.9
"""Share of the values cut off, from which on nothing is learnt of the scans."""
MUCH = 0.2
HARDLY_ANY = 0.15
"""Share of a window's width that the values use."""
ODD_EXTENT = 1.5
"""Ratio to the folder's median from which on a field of view is another one."""
MOST_PICTURED, PANEL_PX, CAPTION_PX = 24, 96, 14
QUANTILES = (0.0, 0.997)


@dataclass(frozen=True)
class DataReport:
    """Of a folder's survey, for a modality and a window (None: quantiles of each scan)."""

    survey: Survey
    modality: str
    window: tuple[float, float] | None
    units: str = "HU"

    @property
    def clipped(self) -> dict[str, float]:
        """Share of each scan's values that the window cuts off, by file name."""
        if self.window is None:
            share = 1 - QUANTILES[1]
            return dict.fromkeys(self.survey.scans, share)
        return {name: facts.share_outside(self.window) for name, facts in self.survey.scans.items()}

    def check_window(self) -> None:
        """Raises: DataRefused, where the window cuts off nearly everything."""
        shares = list(self.clipped.values())
        if shares and float(np.median(shares)) >= NEARLY_ALL:
            low, high = self.window or (0.0, 0.0)
            values = self.values()
            raise DataRefused(
                f"the window {low:g} {high:g} cuts off {np.median(shares):.0%} of the scans' values, which lie from "
                f"{values[0]:g} to {values[2]:g}: type --window LOW HIGH for others, or --modality MR without "
                "--window for quantiles of each scan"
            )

    def values(self) -> tuple[float, float, float]:
        """Second, fiftieth and last but one hundredth of the values above background, as medians over the scans."""
        table = np.array([facts.quantiles for facts in self.survey.scans.values()])
        low, middle, high = np.median(table[:, [1, 50, -2]], axis=0).tolist()
        return low, middle, high

    def lines(self) -> Iterator[str]:
        """For people, most of them one fact; `warnings` are apart."""
        scans, unreadable = self.survey.scans, self.survey.unreadable
        yield f"{len(scans)} scans can be used" + (f", {len(unreadable)} cannot" if unreadable else "")
        if not scans:
            return
        extents = np.array([facts.extent_mm for facts in scans.values()])
        sides = [f"{middle:.0f} ({least:.0f} to {most:.0f})" for middle, least, most in
                 zip(middle_extent(list(scans.values())), extents.min(0), extents.max(0), strict=True)]  # fmt: skip
        yield f"field of view, mm: {sides[0]} across, {sides[1]} deep, {sides[2]} high; median (least to largest)"
        yield "values: {:.4g} to {:.4g}, median {:.4g} (middle 98% above the background)".format(
            *(self.values()[k] for k in (0, 2, 1))
        )
        if self.window is None:
            yield f"taken as {self.modality}: 0 to 99.7% of each scan's own values"
        else:
            share = float(np.mean(list(self.clipped.values())))
            yield f"taken as {self.modality}: window {self.window[0]:g} to {self.window[1]:g}, {share:.1%} clipped"

    def warnings(self) -> Iterator[str]:
        """What may not be meant."""
        scans = self.survey.scans
        for name, why in self.survey.unreadable.items():
            yield f"skipped {name}: {why}"
        for name, facts in scans.items():
            if facts.not_finite:
                yield f"{name}: {max(facts.not_finite, 0.001):.1%} of its voxels are no numbers, and become background"
        for names in self.survey.twins:
            yield f"the same voxels: {', '.join(names)}"
        yield from self._of_kinds()
        yield from self._of_the_window()
        if scans:
            middle = np.array(middle_extent(list(scans.values())))
            for name, facts in scans.items():
                ratio = np.array(facts.extent_mm) / middle
                if max(ratio.max(), 1 / ratio.min()) > ODD_EXTENT:
                    yield f"{name} shows another field of view: " + " x ".join(f"{e:.0f}" for e in facts.extent_mm)

    def _of_kinds(self) -> Iterator[str]:
        found = by_guess(self.survey)
        if len(found) > 1:
            yield f"the folder mixes scans that look like {listed(found)}"
        elif self.modality in ("CT", "MR") and next(iter(found), self.modality) not in (self.modality, "unclear"):
            yield f"taken as {self.modality}, but the values look like {next(iter(found))}"
        sequences = sequences_in(list(self.survey.scans))
        if len(sequences) > 1:
            yield f"by their names the scans are of several kinds: {listed(sequences)}"

    def _of_the_window(self) -> Iterator[str]:
        if self.window is None:
            return
        for name, share in self.clipped.items():
            if share >= MUCH:
                yield f"{name}: the window cuts off {share:.0%} of its values"
            elif self.survey.scans[name].share_used(self.window) < HARDLY_ANY:
                yield f"{name}: its values use less than {HARDLY_ANY:.0%} of the window; the picture will be flat"

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "modality": self.modality,
            "window": self.window,
            "scans": [
                {"file": name, "looks_like": guess(facts), "clipped": self.clipped[name], **facts.model_dump()}
                for name, facts in self.survey.scans.items()
            ],
            "skipped": [{"file": name, "reason": why} for name, why in self.survey.unreadable.items()],
            "same_voxels": self.survey.twins,
            "warnings": list(self.warnings()),
        }


def draw(folder: Path, report: DataReport, target: Path) -> None:
    """A picture of the first scans, three planes each through the window, with their names: PNG at `target`."""
    names = list(report.survey.scans)[:MOST_PICTURED]
    columns = 2 if len(names) > 1 else 1
    rows = -(-len(names) // columns)
    width, height = 3 * PANEL_PX, PANEL_PX + CAPTION_PX
    sheet = Image.new("L", (columns * width, max(rows, 1) * height))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    paths = {path.name: path for path in scans_in(folder)}
    for place, name in enumerate(names):
        left, top = place % columns * width, place // columns * height
        with as_one_file(paths[name]) as whole:
            scan = read(whole, LARGEST)
        window = report.window or window_of(scan.array, QUANTILES)
        sheet.paste(Image.open(BytesIO(three_planes(scan, window, PANEL_PX))), (left, top + CAPTION_PX))
        pen.text((left + 2, top + 1), name.encode("ascii", "replace").decode(), 200, font)
    with replacing(target) as partial:
        sheet.save(partial, "PNG")
