"""report.html: the numbers with their floor, plots and pictures in one file that loads nothing from elsewhere."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

from evaluation.collected import Collected
from evaluation.page import plots
from evaluation.report import Estimate, Report, Spread

MOST_POINTS = 512
SHOWN = 4
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left;
vertical-align:top}td.why{min-width:16rem}td.n{font-variant-numeric:tabular-nums}
figure{display:inline-block;margin:1rem 1rem 0 0;
vertical-align:top}svg{width:420px;max-width:100%;border:1px solid #ddd}svg text{font-size:11px;fill:#444}
img{image-rendering:auto;display:block;background:#000}figcaption{font-size:13px;color:#555;max-width:420px}
.warning{background:#fff5e5;border-left:4px solid #c05621;padding:.5rem 1rem}.why{color:#666;font-size:13px}
code{font-size:13px;overflow-wrap:anywhere}
"""
MEANINGS = {
    "density": "reference balls that a generated volume lies in, over k",
    "coverage": "reference volumes with a generated one near",
    "precision": "generated volumes inside the reference's manifold",
    "recall": "reference volumes inside the generated manifold",
    "fid": "Frechet distance of the features: 0 is equal",
    "kid": "kernel distance, cubic, unbiased: about 0 is equal",
    "mmd": "discrepancy, Gaussians, unbiased: about 0 is equal",
}


def page_of(report: Report, reference: Collected, train: Collected | None, generated: Collected) -> str:
    """The whole page."""
    title = f"Evaluation of {report.generated.name}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _summary(report),
        *(f'<p class="warning">{escape(told)}</p>' for told in report.warnings),
        "<h2>Measures</h2>",
        _measures(report),
        "<h2>Where the volumes lie</h2>",
        *_plots(report, reference, train, generated),
        "<h2>Volumes by realism</h2>",
        *_gallery(report, generated),
        "<h2>Nearest to a scan</h2>",
        *_pairs(report, train or reference, generated),
        "<h2>Reference</h2>",
        *_row_of(reference, range(min(SHOWN, len(reference.names)))),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(sections)}</body></html>\n"
    )


def _summary(report: Report) -> str:
    counts, features, grid = report.counts, report.features, report.preparation
    trained = "" if counts.train is None else f", {counts.train} training scans"
    return (
        f"<p>{counts.generated} generated volumes against {counts.reference} reference scans{trained}; "
        f"features <b>{escape(features.name)}</b> ({features.size}), seed {report.seed}. "
        f"Both sides on {' x '.join(map(str, grid.shape))} voxels of "
        f"{' x '.join(f'{step:.3g}' for step in grid.spacing_mm)} mm, placed by {escape(grid.placement)}.</p>"
        f'<p class="why">Figures of other features are on another scale. '
        f"<code>{escape(features.sha256)}</code></p>"
    )


def _measures(report: Report) -> str:
    rows = [_row(name, getattr(report, name), meaning) for name, meaning in MEANINGS.items()]
    if report.fid.at_infinity is not None:
        rows.insert(5, _plain("fid at infinity", report.fid.at_infinity, "where the line in 1/n meets 0"))
    pairs, near, detail = report.ms_ssim_pairs, report.nearest, report.detail
    rows += [
        _row("MS-SSIM, generated", pairs.generated, "between pairs: the nearer to 1, the fewer kinds"),
        _row("MS-SSIM, reference", pairs.reference, "the same between scans"),
        _row("realism, mean", report.realism.mean, "1 and above is inside the reference"),
        _row("realism, inside", report.realism.share_inside, "share of 1 and above"),
        _row("nearer than scans", near.share_nearer, f"to one of {near.among} than that is to its nearest"),
        _row("below the threshold", near.share_below, f"5% quantile of {near.threshold_of}: 0.05 is expected"),
        _row("detail, generated", detail.generated, "power in 4 to 12.5 mm"),
        _row("detail, reference", detail.reference, "power in 4 to 12.5 mm"),
        _row("inception score", report.inception_score, ""),
    ]
    head = "<tr><th>measure<th>value<th>interval or spread<th>real against real<th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _row(name: str, found: Estimate, meaning: str) -> str:
    why = "; ".join(part for part in (meaning, found.reason, found.note) if part)
    value = "-" if found.value is None else f"{found.value:.4g}"
    middle = _spread(found.spread) or (
        "" if found.interval is None else f"{found.interval[0]:.4g} to {found.interval[1]:.4g}"
    )
    cells = "".join(f'<td class="n">{cell}' for cell in (value, middle, _spread(found.floor)))
    return f'<tr><td>{escape(name)}{cells}<td class="why">{escape(why)}</tr>'


def _plain(name: str, value: float, meaning: str) -> str:
    return f'<tr><td>{escape(name)}<td class="n">{value:.4g}<td><td><td class="why">{escape(meaning)}</tr>'


def _spread(found: Spread | None) -> str:
    return "" if found is None else f"{found.median:.4g} ({found.low:.4g} to {found.high:.4g}) at n = {found.n}"


def _plots(report: Report, reference: Collected, train: Collected | None, generated: Collected) -> Iterable[str]:
    sides = {"reference": reference, "generated": generated} | ({"train": train} if train else {})
    yield plots.scatter(
        plots.mds({name: side.features[:MOST_POINTS] for name, side in sides.items()}),
        "Features in two dimensions (classical scaling), ellipses of two standard deviations",
    )
    if report.realism.each:
        yield plots.strip([one.realism for one in report.realism.each], "Realism", 1.0, "generated volumes, best first")
    yield plots.curves(
        {name: side.histogram for name, side in sides.items() if name != "train"},
        "Intensities of what is not background", "from the lowest to the highest value of the network's range",
    )  # fmt: skip


def _gallery(report: Report, generated: Collected) -> Iterable[str]:
    """From the best, in the middle, from the worst."""
    scores = [one.realism for one in report.realism.each]
    if not scores:
        yield f"<p>{escape(report.realism.mean.reason or '')}; the first volumes instead.</p>"
        yield from _row_of(generated, range(min(SHOWN, len(generated.names))))
        return
    order = [int(k) for k in np.argsort(scores)[::-1]]
    third = max(1, min(SHOWN, len(order) // 3))
    middle = (len(order) - third) // 2
    for told, chosen in (
        ("highest", order[:third]), ("in the middle", order[middle : middle + third]), ("lowest", order[::-1][:third]),
    ):  # fmt: skip
        yield f"<h3>{told}</h3>"
        yield from (_picture(generated, k, f"{generated.names[k]}: {scores[k]:.3f}") for k in chosen)


def _pairs(report: Report, scans: Collected, generated: Collected) -> Iterable[str]:
    """The five generated volumes nearest to a scan, each with it."""
    places = {name: k for k, name in enumerate(scans.names)}
    order = sorted(range(len(report.nearest.each)), key=lambda k: report.nearest.each[k].distance)[:5]
    for k in order:
        one = report.nearest.each[k]
        alike = f"voxels correlate {one.voxel_correlation:.3f} with {one.voxel_nearest}"
        yield "<div>" + _picture(generated, k, one.name)
        yield _picture(scans, places[one.nearest], f"{one.nearest}, {one.distance:.4g} away; {alike}") + "</div>"


def _row_of(side: Collected, chosen: Iterable[int]) -> Iterable[str]:
    return (_picture(side, k, side.names[k]) for k in chosen)


def _picture(side: Collected, index: int, caption: str) -> str:
    """The middle planes side by side, as PNG within the page."""
    planes: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = list(side.part(index).slices)
    packed = io.BytesIO()
    Image.fromarray(np.concatenate(planes, axis=1)).save(packed, format="PNG")
    data = base64.b64encode(packed.getvalue()).decode()
    told = escape(caption)
    picture = f'<img alt="{told}" src="data:image/png;base64,{data}">'
    return f"<figure>{picture}<figcaption>{told}</figcaption></figure>"
