"""What a run found, as dataclasses, and as JSON and back."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PLAIN, LOW = "plain", " low-memory"
"""A way is PLAIN, with which others are compared, or ours: a precision, with LOW behind it for the low-memory mode."""


@dataclass(frozen=True)
class Plan:
    """What to measure, and how often."""

    device: str = "cpu"
    threads: int = 0
    """CPU threads of the measuring processes; 0 leaves torch's own choice."""
    subjects: tuple[str, ...] = ()
    """Of subjects.py; none named: all."""
    sizes: tuple[int, ...] = (64, 128, 256)
    """Edges of the volumes, in voxels; each subject takes those that it has."""
    width: int | None = None
    """Of the networks; None takes each subject's full width."""
    latent: int | None = None
    precisions: tuple[str, ...] = ()
    """None named: all that pay on the device."""
    repeats: int = 5
    plain_repeats: int = 3
    counts: tuple[int, ...] = (1, 2, 4, 8)
    """num_samples of the requests at the largest size."""
    translated: tuple[int, ...] = (64, 128, 256, 512)
    """Edges of translated cubes, in voxels."""
    knocks: int = 50
    """Requests to the tiny model."""
    matrix_edge: int = 0
    """Of the matrices whose product's rate is taken; 0 leaves matrix.py's choice."""


@dataclass(frozen=True)
class Machine:
    """Where and when."""

    date: str
    processor: str
    cores: int
    threads: int
    capability: str
    """The vector instructions that torch uses."""
    memory_bytes: int
    torch: str
    python: str
    device: str
    """The card's name, or "cpu"."""
    precisions: tuple[str, ...]
    matrix_gflops: dict[str, float]
    """Rate of a large matrix product by precision, in GFLOP/s."""
    load_average: float
    """Of the minute before the run."""


@dataclass(frozen=True)
class Difference:
    """Of an output to the plain way's, in the network's units."""

    largest: float
    mean: float


@dataclass(frozen=True)
class Pass:
    """One way of computing one pass of a network, in a process of its own."""

    part: str
    """forward or encoder."""
    subject: str
    size: int
    way: str
    seconds: list[float]
    peak_bytes: int
    """Resident memory of the process at its height, the program itself included."""
    device_peak_bytes: int | None
    gflop: float
    """Arithmetic of this way, counted from the layers' shapes."""
    matrix_gflops: float
    """Rate of a large matrix product in the same precision, right after."""
    difference: Difference | None = None
    other_cores: float | None = None
    """Cores that other processes kept busy meanwhile; None where the system does not say."""

    @property
    def fraction(self) -> float:
        """Achieved share of the matrix-product rate."""
        return self.gflop / median(self.seconds) / self.matrix_gflops


@dataclass(frozen=True)
class FileWriting:
    """One way of making a file of a volume, or a step toward it, on one core."""

    volume: str
    step: str
    way: str
    seconds: list[float]
    size_bytes: int


@dataclass(frozen=True)
class Scoring:
    """Volumes of a shipped model, and the score of each right after it was made."""

    model: str
    forward_seconds: list[float]
    score_seconds: list[float]

    @property
    def share(self) -> float:
        """Of the forward pass."""
        return median(self.score_seconds) / median(self.forward_seconds)


@dataclass(frozen=True)
class Request:
    """POST /generate until the last byte is here, several times over."""

    model: str
    size: int
    precision: str
    num_samples: int
    first_s: float
    """The first request of all, which loads the model."""
    seconds: list[float]
    stages: list[dict[str, float]]
    """Per request: the worker's by the job's record (load, forward, write, ..., and other, which it gives no name);
    http, which is the rest of the time until the answer (HTTP, queue, record); download."""
    size_bytes: int
    worker_peak_bytes: int | None
    """Resident memory of the worker at its height up to here; None where the system does not say."""
    other_cores: float | None = None

    def stage_medians(self) -> dict[str, float]:
        """Median seconds by stage."""
        names = dict.fromkeys(name for stages in self.stages for name in stages)
        return {name: median([stages.get(name, 0.0) for stages in self.stages]) for name in names}


@dataclass(frozen=True)
class Patches:
    """An HR network of MEGAN: as many patches as it takes at a time, and the same one by one in the plain way."""

    width: int
    blocks: int
    seconds: list[float]
    """Per patch."""
    plain_seconds: list[float]
    gflop: float
    """Of one patch."""
    matrix_gflops: float
    difference: Difference

    @property
    def fraction(self) -> float:
        """Achieved share of the matrix-product rate."""
        return self.gflop / median(self.seconds) / self.matrix_gflops


@dataclass(frozen=True)
class Iterations:
    """Of HA-GAN's training: the plain loop and ours in each precision, in turn."""

    size: int
    width: int
    batch: int
    seconds: dict[str, list[float]]
    """By way."""

    def faster(self, way: str) -> float | None:
        """Than the plain loop; None where it was not measured."""
        return median(self.seconds[PLAIN]) / median(self.seconds[way]) if way in self.seconds else None


@dataclass(frozen=True)
class Translation:
    """A job that makes a cube of one size: LR at full width, HR networks of hardly any, of which the size asks for up
    to 15,626 patches."""

    size: int
    seconds: float
    peak_bytes: int
    """Resident memory of the process at its height."""
    weights_bytes: int
    scan_bytes: int
    """Of the scan as it was read."""
    device_bytes: int
    """The most that is held at once while a network runs, its input and weights aside."""

    @property
    def beyond_bytes(self) -> int:
        """Of the peak, what neither the weights nor the scan take: torch and all libraries among it."""
        return self.peak_bytes - self.weights_bytes - self.scan_bytes


@dataclass(frozen=True)
class Run:
    """All that one run found. A part that was left out or failed is empty."""

    plan: Plan
    machine: Machine
    passes: list[Pass] = field(default_factory=list)
    files: list[FileWriting] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    knocks: Request | None = None
    """Requests for a volume too small to matter: what the queue and HTTP cost."""
    failures: list[str] = field(default_factory=list)
    took_s: float = 0.0
    iterations: Iterations | None = None
    patches: Patches | None = None
    translations: list[Translation] = field(default_factory=list)
    scores: list[Scoring] = field(default_factory=list)

    def find(self, part: str, size: int, way: str, subject: str = "hagan") -> Pass | None:
        """The pass of that name, if it was measured."""
        wanted = (part, subject, size, way)
        return next((p for p in self.passes if (p.part, p.subject, p.size, p.way) == wanted), None)

    @property
    def main_requests(self) -> list[Request]:
        """Of each size those to the model that was asked first; another one is there for comparison."""
        models = {row.size: row.model for row in reversed(self.requests)}
        return [row for row in self.requests if models[row.size] == row.model]

    def request(self, size: int, precision: str, num_samples: int) -> Request | None:
        """The requests of that kind, if they were measured."""
        wanted = (size, precision, num_samples)
        return next((r for r in self.main_requests if (r.size, r.precision, r.num_samples) == wanted), None)


def precision_of(way: str) -> str:
    """Of the arithmetic of a way."""
    return "float32" if way == PLAIN else way.removesuffix(LOW)


def median(values: Sequence[float]) -> float:
    """0.0 of nothing."""
    return statistics.median(values) if values else 0.0


def save(run: Run, path: Path, targets: Sequence[Any]) -> None:
    """The run as JSON, the targets beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = asdict(run) | {"targets": [asdict(target) for target in targets]}
    path.write_text(json.dumps(body, indent=1) + "\n")


def read(path: Path) -> Run:
    """A run as `save` wrote it."""
    body = json.loads(path.read_text())
    plan: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in body["plan"].items()
    }
    machine = body["machine"] | {"precisions": tuple(body["machine"]["precisions"])}
    return Run(
        plan=Plan(**plan),
        machine=Machine(**machine),
        passes=[pass_of(found) for found in body["passes"]],
        files=[FileWriting(**found) for found in body["files"]],
        requests=[Request(**found) for found in body["requests"]],
        knocks=Request(**body["knocks"]) if body["knocks"] else None,
        iterations=Iterations(**body["iterations"]) if body.get("iterations") else None,
        patches=_patches_of(body.get("patches")),
        translations=[Translation(**found) for found in body.get("translations", [])],
        scores=[Scoring(**found) for found in body.get("scores", [])],
        failures=body["failures"],
        took_s=body["took_s"],
    )


def pass_of(found: dict[str, Any]) -> Pass:
    """A Pass from its JSON."""
    difference = found.get("difference")
    return Pass(**found | {"difference": Difference(**difference) if difference else None})


def _patches_of(found: dict[str, Any] | None) -> Patches | None:
    return Patches(**found | {"difference": Difference(**found["difference"])}) if found else None
