"""The goals, and whether a run met them."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.names import SCORED
from benchmarks.results import LOW, PLAIN, Pass, Request, Run, median

SIZE = 256
ONE, MANY = 1, 8
SMALL, LARGEST = 128, 512
"""Edges of translated cubes."""


@dataclass(frozen=True)
class Target:
    """One goal with what was measured; None where it was not."""

    name: str
    wanted: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """For the table."""
        return "not measured" if self.met is None else "met" if self.met else "missed"


def judge(run: Run) -> list[Target]:
    """The goals for two CPU cores; on another device or at another width they are held up just the same."""
    return [
        *_forward(run),
        *_encoder(run),
        *_training(run),
        *_files(run),
        *_score(run),
        *_request(run),
        *_translation(run),
    ]


def _forward(run: Run) -> Iterator[Target]:
    plain, ours, half = (run.find("forward", SIZE, way) for way in (PLAIN, "float32", "bfloat16"))
    yield _at_least("forward 256^3, float32, faster than plain", 6.0, _faster(plain, ours), "x")
    yield _at_least("forward 256^3, bfloat16, faster than plain", 10.0, _faster(plain, half), "x")
    share = ours.fraction * 100 if ours else None
    yield _at_least("forward 256^3, float32, of the matrix-product rate", 55.0, share, " %")
    yield _at_most("forward 256^3, float32, peak memory of plain's", 0.25, _peaks(plain, ours), "")
    small = run.find("forward", SIZE, "float32" + LOW)
    if small is not None and small.device_peak_bytes:
        yield _at_most("forward 256^3, low-memory, on the device", 4.0, small.device_peak_bytes / 1e9, " GB")


def _encoder(run: Run) -> Iterator[Target]:
    plain, ours = (run.find("encoder", SIZE, way) for way in (PLAIN, "float32"))
    yield _at_least("encoder 256^3, float32, faster than plain", 2.0, _faster(plain, ours), "x")


def _training(run: Run) -> Iterator[Target]:
    faster = run.iterations.faster("bfloat16") if run.iterations else None
    yield _at_least("iteration of HA-GAN's training, bfloat16, faster than plain", 2.5, faster, "x")


def _files(run: Run) -> Iterator[Target]:
    seconds = [
        median(row.seconds)
        for row in run.files
        if (row.step, row.way) == (".nii.gz", "ours") and row.size_bytes and _largest(run) == SIZE
    ]
    yield _at_most(".nii.gz of a 256^3 int16, one core", 0.25, max(seconds, default=None), " s")


def _score(run: Run) -> Iterator[Target]:
    row = next((row for row in run.scores if row.model == SCORED[0]), None)
    yield _at_most(
        f"score of a volume of {SCORED[0]}, of its forward pass", 15.0, row.share * 100 if row else None, " %"
    )


def _request(run: Run) -> Iterator[Target]:
    one, many = (run.request(SIZE, "float32", count) for count in (ONE, MANY))
    forward_s: float | None = None
    for row, count, limit in ((one, ONE, 25.0), (many, MANY, 10.0)):
        rest = None
        if row is not None:
            # The shorter pass counts: where there are several, one sample is written while the next one computes.
            own_s = row.stage_medians()["forward"] / count
            forward_s = min(own_s, forward_s or own_s)
            rest = (median(row.seconds) / count - forward_s) / forward_s * 100
        name = f"request 256^3, float32, {count} sample{'s' * (count > 1)}: beside the forward pass, per sample"
        yield _at_most(name, limit, rest, " %")
    peaks = [row.worker_peak_bytes / 1e9 for row in (one, many) if row is not None and row.worker_peak_bytes]
    yield _at_most("worker, 256^3, float32, peak memory", 1.5, max(peaks, default=None), " GB")
    beside_ms = overhead_ms(run.knocks) if run.knocks else None
    yield _at_most("queue and HTTP without the volume", 30.0, beside_ms, " ms")


def _translation(run: Run) -> Iterator[Target]:
    """MEGAN's: patches, and memory that does not grow with the volume."""
    patches = run.patches
    share = patches.fraction * 100 if patches else None
    yield _at_least("patches of MEGAN, float32, of the matrix-product rate", 55.0, share, " %")
    faster = median(patches.plain_seconds) / median(patches.seconds) if patches else None
    yield _at_least("patches of MEGAN, float32, faster than one by one", 2.0, faster, "x")
    made = {row.size: row for row in run.translations}
    largest, small = made.get(LARGEST), made.get(SMALL)
    beyond = largest.beyond_bytes / 1e9 if largest else None
    yield _at_most(f"translation to {LARGEST}^3, peak memory beyond weights and scan", 1.5, beyond, " GB")
    ratio = largest.device_bytes / small.device_bytes if largest and small else None
    yield _at_most(f"translation, device memory at {LARGEST}^3 of that at {SMALL}^3", 1.05, ratio, "")


def overhead_ms(knocks: Request) -> float:
    """What is neither the model's work nor the volume's way into the store and out of it."""
    spent = knocks.stage_medians()
    return (spent["http"] + spent["other"]) * 1000


def _largest(run: Run) -> int:
    return max(run.plan.sizes)


def _faster(plain: Pass | None, ours: Pass | None) -> float | None:
    return median(plain.seconds) / median(ours.seconds) if plain and ours else None


def _peaks(plain: Pass | None, ours: Pass | None) -> float | None:
    """On a device its memory counts, not the process's."""
    if plain is None or ours is None:
        return None
    if plain.device_peak_bytes and ours.device_peak_bytes:
        return ours.device_peak_bytes / plain.device_peak_bytes
    return ours.peak_bytes / plain.peak_bytes


def _at_least(name: str, limit: float, value: float | None, unit: str) -> Target:
    return Target(name, f">= {limit:g}{unit}", _shown(value, unit), None if value is None else value >= limit)


def _at_most(name: str, limit: float, value: float | None, unit: str) -> Target:
    return Target(name, f"<= {limit:g}{unit}", _shown(value, unit), None if value is None else value <= limit)


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g}{unit}"
