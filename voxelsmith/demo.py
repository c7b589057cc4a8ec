"""The demo: the whole service for a minute. Generate, encode a real scan, move it along a direction, translate it where
a translator ships, keep the files.

Loaded through voxelsmith.extras, because the contact sheet needs Pillow.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.settings import Settings
from voxelsmith.client import DEMO_MODEL, Client
from voxelsmith.contact_sheet import write_contact_sheet
from voxelsmith.extras import MissingExtraError, how_to_install
from voxelsmith.job import Job
from voxelsmith.local import Stack, StackError
from voxelsmith.problems import ServiceUnavailable, Unprocessable

STRENGTHS = (-2.0, 0.0, 2.0)
FAVOURITE = "head-size"
TRANSLATOR = "head-t1-128"
"""Of the models that ship; where it is not there the step is left out."""
READY_S = 180.0
_TEMPLATE = ("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
Announce = Callable[[str], object]
Linger = Callable[[Stack, "list[Step]"], object]


@dataclass
class Step:
    """A row of the table at the end."""

    name: str
    made: str = ""
    files: list[Path] = field(default_factory=list)
    wall_s: float = 0.0
    timings_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """What the demo is to show."""

    out: Path
    model: str = DEMO_MODEL
    scan: Path | None = None
    """None: the MNI152 T1 template that nilearn carries."""
    direction: str | None = None
    """None: FAVOURITE where the model has it, else its first, or one by SeFa where it has none."""

    @property
    def data(self) -> Path:
        """The service's own folder, from which `voxelsmith serve` shows the demo's jobs again."""
        return self.out / "service"


class Demo:
    """Runs the steps against a stack of its own and remembers what they made."""

    def __init__(self, wish: Wish, announce: Announce) -> None:
        self.wish, self.announce = wish, announce
        self.steps: list[Step] = []
        self._previews: list[tuple[str, bytes]] = []

    def run(self, settings: Settings, linger: Linger | None = None) -> list[Step]:
        """`linger` is called with all that was made before the service stops.

        Raises: StackError, MissingExtraError, DataFolderError, the client's errors.
        """
        scan = self.wish.scan or find_template()
        self.wish.data.mkdir(parents=True, exist_ok=True)
        stack = Stack(self.wish.data, settings.model_copy(update={"host": "127.0.0.1", "port": 0}))
        with self._step("start") as step:
            stack.start()
            step.made = f"the service on {stack.url}"
        try:
            with Client(stack.url) as client:
                self._with_client(client, scan)
            if linger is not None:
                linger(stack, self.steps)
        finally:
            with self._step("stop") as step:
                stack.stop()
                step.made = "all processes"
        return self.steps

    def _with_client(self, client: Client, scan: Path) -> None:
        with self._step("ready") as step:
            _await_ready(client)
            step.made = "a worker, loaded and warmed up"
        with self._step("generate") as step:
            job = client.generate(model=self.wish.model, seed=0, num_samples=2)
            self._keep(step, job, "generated", "two volumes from seeds 0 and 1")
        with self._step("encode") as step:
            job = client.encode(scan, model=self.wish.model, reconstruct=True)
            self._keep(step, job, "encoded", "a real scan's latent, and back")
        with self._step("edit") as step:
            direction = self.wish.direction or _any_direction(client, self.wish.model)
            edit = {"op": "move", "direction": direction, "strengths": list(STRENGTHS)}
            job = client.edit(model=self.wish.model, source={"job": job.id, "index": 0}, edit=edit)
            self._keep(step, job, "edited", f"the scan moved along {direction!r}")
        if any(card["name"] == TRANSLATOR and "translate" in card.get("verbs", ()) for card in client.models()):
            with self._step("translate") as step:
                self._translate(step, client, scan)
        with self._step("contact sheet") as step:
            sheet = self.wish.out / "contact-sheet.png"
            write_contact_sheet(sheet, self._previews)
            step.made, step.files = f"{len(self._previews)} previews in one picture", [sheet]

    def _translate(self, step: Step, client: Client, scan: Path) -> None:
        try:
            job = client.translate(scan, model=TRANSLATOR)
        except Unprocessable:  # a scan of the user's that the other steps take
            step.made = "left out: the scan is smaller than a patch"
            return
        self._keep(step, job, "translated", f"the scan painted anew from its edges by {TRANSLATOR}")

    def _keep(self, step: Step, job: Job, folder: str, made: str) -> None:
        step.files = job.download(self.wish.out / folder)
        step.timings_s = job.record["timings_s"]
        step.made = made + _likeness(job.record.get("metrics"))
        for entry in job.results:
            if entry.get("preview"):
                self._previews.append((_caption(folder, entry), job.preview(entry["index"])))

    @contextmanager
    def _step(self, name: str) -> Iterator[Step]:
        self.announce(name)
        step, begun = Step(name), time.perf_counter()
        yield step
        step.wall_s = time.perf_counter() - begun
        self.steps.append(step)


def _caption(folder: str, entry: Mapping[str, Any]) -> str:
    """What a preview shows: a label or a seed; a translation has neither."""
    seed = (entry.get("latent") or {}).get("seed")
    what = entry.get("label") or (None if seed is None else f"seed {seed}")
    return folder if what is None else f"{folder}: {what}"


def find_template() -> Path:
    """The MNI152 T1 template among nilearn's data files, found without importing nilearn. Raises: MissingExtraError."""
    spec = importlib.util.find_spec("nilearn")
    path = Path(spec.origin).parent.joinpath(*_TEMPLATE) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtraError(f"the demo's scan is nilearn's: {how_to_install('demo')}, or give --scan FILE")
    return path


def _await_ready(client: Client) -> None:
    """Raises: StackError when no worker comes up."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            client.ready()
            return
        except ServiceUnavailable as err:
            if time.monotonic() > deadline:
                raise StackError(f"the service was not ready within {READY_S:g} s: {err}") from err
            time.sleep(0.1)


def _any_direction(client: Client, model: str) -> str:
    names = [str(entry["name"]) for entry in client.directions(model)]
    if not names:
        client.fit_direction(model, {"method": "sefa", "name_prefix": "sefa", "count": 1}).wait()
        return "sefa-1"
    return FAVOURITE if FAVOURITE in names else names[0]


def _likeness(metrics: Mapping[str, Any] | None) -> str:
    if not metrics or "psnr" not in metrics:
        return ""
    return f" (PSNR {metrics['psnr']:.1f} dB, SSIM {metrics['ssim']:.2f})"
