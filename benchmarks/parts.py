"""The parts of a run, in order. Each asks its measuring processes, tells how far it is, and gives what they found."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.children import Bystanders, ChildFailed, ask
from benchmarks.names import FULL_WIDTH, SCORED, SERVED, TINY, model_name
from benchmarks.requesting import request
from benchmarks.results import (
    LOW,
    PLAIN,
    Difference,
    FileWriting,
    Iterations,
    Machine,
    Pass,
    Patches,
    Plan,
    Run,
    Scoring,
    Translation,
    median,
    pass_of,
    precision_of,
)
from benchmarks.targets import overhead_ms
from voxelsmith.problems import ClientError

Say = Callable[[str], object]
PARTS = ("forward", "encoder", "training", "writing", "score", "translation", "request", "overhead")
TRAINED = 128
"""Edge of the volumes of training's iterations."""
TRAINED_WIDTH = 32


@dataclass
class Workplace:
    """What the parts share: the plan, the machine, the models, and what was found up to now."""

    plan: Plan
    machine: Machine
    scratch: Path
    say: Say
    sizes: dict[str, dict[str, list[int]]]
    """Per part and subject, or for the requests per model: the sizes that are measured."""
    found: Run = field(init=False)

    def __post_init__(self) -> None:
        self.found = Run(self.plan, self.machine)

    @property
    def models(self) -> Path:
        return self.scratch / "models"

    @property
    def served_sizes(self) -> list[int]:
        """Of the models whose files are measured; none where their subject was left out."""
        return self.sizes["forward"].get(SERVED, [])

    @contextmanager
    def surviving(self, what: str) -> Iterator[None]:
        """A measurement that fails is noted, and the others go on."""
        try:
            yield
        except (ChildFailed, ClientError) as err:
            self.found.failures.append(f"{what}: {err}")
            self.say(f"{what}: FAILED, {err}")


def measure(plan: Plan, parts: Sequence[str], say: Say) -> Run | None:
    """The whole run; None where the machine lacks the device."""
    begun = time.monotonic()
    say("machine: matrix products")
    asked: dict[str, object] = {"device": plan.device, "threads": plan.threads, "precisions": plan.precisions,
                                "matrix_edge": plan.matrix_edge}  # fmt: skip
    facts = ask("benchmarks.machine", asked)
    if not facts:
        return None
    machine = Machine(**facts | {"precisions": tuple(facts["precisions"])})
    with tempfile.TemporaryDirectory(prefix="voxelsmith-bench-") as folder:
        scratch = Path(folder)
        say("models")
        asked = {"models": str(scratch / "models"), "subjects": plan.subjects, "sizes": plan.sizes,
                 "width": plan.width, "latent": plan.latent}  # fmt: skip
        place = Workplace(plan, machine, scratch, say, ask("benchmarks.models", asked))
        for part in PARTS:
            if part in parts:
                _MEASURES[part](place)
    return dataclasses.replace(place.found, took_s=round(time.monotonic() - begun, 1))


def _passes(place: Workplace, part: str) -> None:
    """One pass of each subject in each size: plainly, in each precision, and the largest in the low-memory mode."""
    for subject, sizes in place.sizes[part].items():
        for size in sizes:
            precisions = place.machine.precisions
            for way in (PLAIN, *precisions, *([precisions[0] + LOW] if size == max(sizes) else [])):
                what = f"{part}: {subject} {size}^3 {way}"
                with place.surviving(what):
                    found = _pass(place, part, subject, size, way)
                    place.found.passes.append(found)
                    place.say(f"{what}: {median(found.seconds):.3f} s, peak {found.peak_bytes / 2**30:.2f} GiB")


def _pass(place: Workplace, part: str, subject: str, size: int, way: str) -> Pass:
    plan = place.plan
    outputs = place.scratch / f"{part}-{subject}-{size}-{PLAIN}.npy", place.scratch / "output.npy"
    repeats = plan.plain_repeats if way == PLAIN else plan.repeats
    question = {"part": part, "subject": subject, "size": size, "way": way, "models": str(place.models),
                "device": plan.device, "threads": plan.threads, "repeats": repeats,
                "output": str(outputs[way != PLAIN]), "matrix_edge": plan.matrix_edge}  # fmt: skip
    with Bystanders() as bystanders:
        reply = ask("benchmarks.networks", question)
    return dataclasses.replace(
        pass_of(reply),
        matrix_gflops=reply["matrix_gflops"] or place.machine.matrix_gflops[precision_of(way)],
        difference=None if way == PLAIN or not outputs[0].exists() else _difference(*outputs),
        other_cores=bystanders.cores,
    )


def _difference(plain: Path, ours: Path) -> Difference:
    """Between two outputs of the same shape, part by part to stay small in memory."""
    largest, total, count = 0.0, 0.0, 0
    parts = (np.array_split(np.load(path, mmap_mode="r").reshape(-1), 64) for path in (plain, ours))
    for one, other in zip(*parts, strict=True):
        apart = np.abs(one - other)
        largest = max(largest, float(apart.max(initial=0.0)))
        total, count = total + float(apart.sum()), count + apart.size
    return Difference(largest, total / count)


def _training(place: Workplace) -> None:
    """Iterations of HA-GAN's training in turn: the plain loop's, and ours in each precision."""
    plan = place.plan
    question = {"device": plan.device, "threads": plan.threads, "size": min(TRAINED, max(plan.sizes)),
                "width": plan.width or TRAINED_WIDTH, "repeats": plan.plain_repeats,
                "precisions": [name for name in place.machine.precisions if name != "float16"]}  # fmt: skip
    with place.surviving("training"):
        row = Iterations(**ask("benchmarks.training", question))
        place.found = dataclasses.replace(place.found, iterations=row)
        told = ", ".join(f"{way} {median(seconds):.2f} s" for way, seconds in row.seconds.items())
        place.say(f"training: an iteration {told}")


def _writing(place: Workplace) -> None:
    size = max(place.served_sizes, default=0)
    if not size:
        return
    question = {"models": str(place.models), "model": model_name(SERVED, size), "with_demo": size == 256,
                "repeats": place.plan.repeats}  # fmt: skip
    with place.surviving("writing"):
        place.found.files.extend(FileWriting(**row) for row in ask("benchmarks.writing", question))
        for row in place.found.files:
            place.say(f"writing: {row.volume}, {row.step}, {row.way}: {median(row.seconds):.3f} s")


def _scores(place: Workplace) -> None:
    plan = place.plan
    asked: dict[str, object] = {"device": plan.device, "threads": plan.threads, "repeats": plan.repeats}
    for model in SCORED:
        with place.surviving(f"score: {model}"):
            row = Scoring(**ask("benchmarks.beside.scoring", asked | {"model": model}))
            place.found.scores.append(row)
            place.say(f"score: {model}: {median(row.score_seconds):.3f} s, {row.share:.1%} of the forward pass")


def _translations(place: Workplace) -> None:
    """Patches of MEGAN both ways, then whole translations to ever larger cubes."""
    plan = place.plan
    asked: dict[str, object] = {"folder": str(place.scratch), "device": plan.device, "threads": plan.threads}
    with place.surviving("translation: patches"):
        patching = {"what": "patches", "width": plan.width or FULL_WIDTH, "repeats": plan.plain_repeats,
                    "matrix_edge": plan.matrix_edge}  # fmt: skip
        found = ask("benchmarks.translating", asked | patching)
        row = Patches(**found | {"difference": Difference(**found["difference"])})
        place.found = dataclasses.replace(place.found, patches=row)
        place.say(f"translation: {median(row.seconds):.3f} s a patch, plainly {median(row.plain_seconds):.3f}")
    for size in plan.translated:
        with place.surviving(f"translation: {size}^3"):
            question = asked | {"width": plan.width or FULL_WIDTH, "size": size}
            ask("benchmarks.translating", question | {"what": "write"})
            made = Translation(**ask("benchmarks.translating", question | {"what": "memory"}))
            place.found.translations.append(made)
            place.say(f"translation: {size}^3 in {made.seconds:.0f} s, peak {made.peak_bytes / 2**30:.2f} GiB")


def _requests(place: Workplace) -> None:
    """The first model of the largest size in each precision and for several samples; of the others one sample
    in the first precision."""
    plan, served = place.plan, {model: size for model, (size,) in place.sizes["request"].items()}
    main = next((model for model, size in served.items() if size == max(served.values())), "")
    for model, size in served.items():
        for precision in place.machine.precisions if model == main else place.machine.precisions[:1]:
            counts = plan.counts if model == main else plan.counts[:1]
            rounds = {count: plan.repeats if count == 1 else plan.plain_repeats for count in counts}
            with place.surviving(f"request: {model} {precision}"):
                found = request(plan, place.scratch, place.models, model, size, precision, rounds)
                place.found.requests.extend(found)
                for row in found:
                    place.say(f"request: {model} {precision} x {row.num_samples}: {median(row.seconds):.3f} s")


def _overhead(place: Workplace) -> None:
    with place.surviving("overhead"):
        name, size, *_ = TINY
        plan, precision = place.plan, place.machine.precisions[0]
        (knocks,) = request(plan, place.scratch, place.models, name, size, precision, {1: plan.knocks})
        place.found = dataclasses.replace(place.found, knocks=knocks)
        place.say(f"overhead: {overhead_ms(knocks):.1f} ms without the volume")


_MEASURES: dict[str, Callable[[Workplace], None]] = {
    "forward": lambda place: _passes(place, "forward"),
    "encoder": lambda place: _passes(place, "encoder"),
    "training": _training,
    "writing": _writing,
    "score": _scores,
    "translation": _translations,
    "request": _requests,
    "overhead": _overhead,
}
