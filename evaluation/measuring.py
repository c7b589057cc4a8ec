"""From two collected sets to the numbers of a report."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from evaluation import report
from evaluation.collected import Collected
from evaluation.distances import frechet, kernels, memorisation, ms_ssim, neighbours, spread
from evaluation.distances.frechet import Features
from evaluation.distances.spread import Measure
from model_store.features.neighbours import FEWEST_REALISM

FEWEST_NEIGHBOURS = 50
"""Volumes a side, below which precision, recall, density and coverage say more of the sample than of the model."""
FEWEST_SPREAD = 4
"""Volumes a side, of which half can be drawn."""
MOST_REDUCED = 64


class Spreads(TypedDict):
    """Two fields of an estimate."""

    spread: report.Spread | None
    floor: report.Spread | None


def fid(reference: Features, generated: Features, seed: int) -> report.Frechet:
    """With what infinitely many volumes would give, and in few principal components, of full rank."""
    if min(len(reference), len(generated)) < 2:
        return report.Frechet(value=None, reason="a covariance needs 2 volumes a side")
    line = frechet.extrapolated(reference, generated, seed)
    count, size = min(len(reference), len(generated)), reference.shape[1]
    dimensions = min(MOST_REDUCED, count // 4)
    return report.Frechet(
        value=frechet.frechet(reference, generated),
        note=_few(count, size, has_line=line is not None),
        at_infinity=None if line is None else line.at_infinity,
        slope=None if line is None else line.slope,
        reduced=_reduced(reference, generated, dimensions) if dimensions else None,
        reduced_dimensions=dimensions or None,
        **_spreads(frechet.frechet, reference, generated, seed),
    )


def _few(count: int, size: int, has_line: bool) -> str | None:
    if count >= 2 * size:
        return None
    told = f"{count} volumes for {size} features: the value grows with fewer volumes"
    beside = "; at_infinity is the figure to compare" if has_line else ", and there are too few to extrapolate"
    return told + beside


def _reduced(reference: Features, generated: Features, dimensions: int) -> float:
    middle = reference.mean(axis=0)
    _, _, axes = np.linalg.svd(reference - middle, full_matrices=False)
    return frechet.frechet((reference - middle) @ axes[:dimensions].T, (generated - middle) @ axes[:dimensions].T)


def _spreads(measure: Measure, reference: Features, generated: Features, seed: int) -> Spreads:
    """Of subsamples and of the floor, both with half of the smaller set a side, so that they can be held together."""
    n = min(len(reference) // 2, max(len(generated) // 2, 2), len(generated))
    if n < FEWEST_SPREAD // 2:
        return Spreads(spread=None, floor=None)
    return Spreads(
        spread=report.Spread(**asdict(spread.subsampled(measure, reference, generated, n, seed))),
        floor=report.Spread(**asdict(spread.floor(measure, reference, seed, n))),
    )


def kid(reference: Features, generated: Features, seed: int) -> report.Estimate:
    if min(len(reference), len(generated)) < 2:
        return report.Estimate(value=None, reason="an unbiased estimate needs 2 volumes a side")

    def measure(x: Features, y: Features) -> float:
        return kernels.kid(x, y, seed)

    return report.Estimate(value=measure(reference, generated), **_spreads(measure, reference, generated, seed))


def mmd(reference: Features, generated: Features, seed: int) -> report.Discrepancy:
    if min(len(reference), len(generated)) < 2:
        return report.Discrepancy(value=None, reason="an unbiased estimate needs 2 volumes a side")
    try:
        found = kernels.gaussian(reference, generated, seed)
    except ValueError:
        return report.Discrepancy(value=None, reason="all features are equal, so that no bandwidth can be chosen")
    note, spreads = None, Spreads(spread=None, floor=None)
    try:
        spreads = _spreads(kernels.gaussian_value, reference, generated, seed)
    except ValueError:
        note = "no spread and no floor: among the volumes drawn for them all features are equal"
    return report.Discrepancy(
        value=found.unbiased,
        note=note,
        biased=found.biased,
        bandwidth=found.bandwidth,
        p_value=found.p_value,
        **spreads,
    )


def manifold(reference: Features, generated: Features, seed: int) -> dict[str, report.Neighbourhood]:
    """Precision, recall, density, coverage; of equally many volumes a side, as they are upset by unequal numbers."""
    n = min(len(reference), len(generated))
    ks = {"precision": neighbours.PRECISION_K, "recall": neighbours.PRECISION_K,
          "density": neighbours.DENSITY_K, "coverage": neighbours.DENSITY_K}  # fmt: skip
    if n < FEWEST_NEIGHBOURS:
        told = f"needs {FEWEST_NEIGHBOURS} volumes a side; there are {len(reference)} and {len(generated)}"
        return {name: report.Neighbourhood(value=None, reason=told, k=k) for name, k in ks.items()}
    generator = np.random.default_rng([seed, n, 4])
    one = reference[np.sort(generator.permutation(len(reference))[:n])]
    other = generated[np.sort(generator.permutation(len(generated))[:n])]
    values = asdict(neighbours.manifold(one, other))
    ceilings = {"density": 1.0, "coverage": neighbours.expected_coverage(n, n)}
    return {
        name: report.Neighbourhood(
            value=values[name],
            k=k,
            ceiling=ceilings.get(name),
            note=f"of {n} volumes a side" if len(reference) != len(generated) else None,
            **_spreads(_one_of(name), reference, generated, seed),
        )
        for name, k in ks.items()
    }


def _one_of(name: str) -> Measure:
    return lambda x, y: float(getattr(neighbours.manifold(x, y), name))


def mean_of(
    values: NDArray[np.float64], seed: int, reason: str = "there is no volume to take the mean of"
) -> report.Estimate:
    """With the bootstrap interval of independent values; those that are not numbers are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return report.Estimate(value=None, reason=reason)
    told = None if len(known) == len(values) else f"of {len(known)} of {len(values)} volumes"
    interval = spread.bootstrapped(known, seed) if len(known) > 1 else None
    return report.Estimate(value=float(known.mean()), interval=interval, note=told)


def realism(reference: Features, generated: Features, names: tuple[str, ...], seed: int) -> report.Realism:
    k = neighbours.PRECISION_K
    if len(reference) < FEWEST_REALISM:
        nothing = report.Estimate(
            value=None, reason=f"needs {FEWEST_REALISM} reference scans; there are {len(reference)}"
        )
        return report.Realism(k=k, mean=nothing, share_inside=nothing, each=[])
    scores = neighbours.realism(reference, generated)
    return report.Realism(
        k=k,
        mean=mean_of(scores, seed),
        share_inside=mean_of((scores >= 1).astype(np.float64), seed),
        each=[report.VolumeScore(name=n, realism=float(s)) for n, s in zip(names, scores, strict=True)],
    )


def nearest(reference: Collected, train: Collected | None, generated: Collected, seed: int) -> report.Memorisation:
    scans = train or reference
    features, made = scans.features, generated.features
    held_out = reference.features if train is not None else None
    threshold_of: Literal["held-out scans", "the scans among each other"]
    threshold_of = "the scans among each other" if train is None else "held-out scans"
    among: Literal["train", "reference"] = "reference" if train is None else "train"
    if len(features) < 2:
        nothing = report.Estimate(value=None, reason="needs 2 scans to know how near scans are to each other")
        return report.Memorisation(among=among, share_nearer=nothing, share_below=nothing, threshold=None,
                                   threshold_of=threshold_of, each=[])  # fmt: skip
    found = memorisation.nearest(features, made)
    threshold = memorisation.threshold(features, held_out)
    alike = memorisation.correlations(scans.tiny, generated.tiny)
    each = [
        report.NearestScan(
            name=name,
            nearest=scans.names[int(found.index[k])],
            distance=float(found.distance[k]),
            is_nearer=bool(found.is_nearer[k]),
            voxel_nearest=scans.names[int(alike[k].argmax())],
            voxel_correlation=float(alike[k].max()),
        )
        for k, name in enumerate(generated.names)
    ]
    return report.Memorisation(
        among=among,
        share_nearer=mean_of(found.is_nearer.astype(np.float64), seed),
        share_below=mean_of((found.distance < threshold).astype(np.float64), seed),
        threshold=threshold,
        threshold_of=threshold_of,
        each=each,
    )


def ms_ssim_pairs(
    reference: Collected, generated: Collected, seed: int, tell: Callable[[int, int], None]
) -> report.PairSimilarity:
    """Of at most 200 pairs a side."""
    chosen = [(side, ms_ssim.pairs(len(side.paths), seed)) for side in (generated, reference)]
    total, done, found = sum(len(pairs) for _, pairs in chosen), 0, []
    for side, pairs in chosen:
        values = []
        for a, b in pairs:
            values.append(ms_ssim.ms_ssim(side.part(a).small, side.part(b).small))
            done += 1
            tell(done, total)
        found.append(_pairs_estimate(values))
    return report.PairSimilarity(generated=found[0], reference=found[1], pairs=total, side=ms_ssim.SIDE)


def _pairs_estimate(values: list[float]) -> report.Estimate:
    """No interval: pairs share volumes, and are not independent."""
    if not values:
        return report.Estimate(value=None, reason="a pair needs 2 volumes")
    return report.Estimate(value=float(np.mean(values)), note=f"standard deviation over pairs {np.std(values):.4f}")


def detail(reference: Collected, generated: Collected, seed: int) -> report.Detail:
    why = "the foreground is too small to hold a wave of 12.5 mm"
    made, real = generated.details, reference.details
    both = np.isfinite(made).any() and np.isfinite(real).any() and np.nanmedian(real) > 0
    return report.Detail(
        generated=mean_of(made, seed, why),
        reference=mean_of(real, seed, why),
        of_reference=float(np.nanmedian(made) / np.nanmedian(real)) if both else None,
        each=[
            report.VolumeDetail(name=name, detail=float(value))
            for name, value in zip(generated.names, made, strict=True)
            if np.isfinite(value)
        ],
    )
