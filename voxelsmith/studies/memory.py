"""HA-GAN's tables VII and IX: the memory of training and generating by the volume's edge, and by sub-volumes.

Loaded through voxelsmith.extras, because its processes need torch and the training's libraries.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from evaluation.studies.memory import SHARES, SIZES, USUAL, Row, table
from model_store.faults import Refusal
from voxelsmith.studies.memory_child import counted
from voxelsmith.studies.phantom_models import OnStep

CHILD = "voxelsmith.studies.memory_child"
ANSWERS = "measured.json"
NOT_REPRODUCED = (
    "figure 6 and the supplement's figure 4, whose other models are not part of the project; sub-volumes of another "
    "size are measured with a D^H that averages over the slices that are left, for the paper does not say what its does"
)


class MeasuringFailed(Refusal):
    """A measuring process ended without an answer, such as one that the system ended for its memory."""


@dataclass(frozen=True)
class Plan:
    """How large the study is. The paper: all sizes, width 32, 1024 numbers, float32 on a GPU."""

    out: Path
    sizes: tuple[int, ...] = (32, 64, 128)
    """Edges that are measured; all of the paper's are counted."""
    slabs_at: int = 64
    """The edge at which sub-volumes of other sizes are measured."""
    width: int = 32
    latent_dim: int = 1024
    batch_size: int = 4
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    device: str = "cpu"

    @property
    def settings(self) -> dict[str, Any]:
        """Of a run, but for its edge."""
        names = ("width", "latent_dim", "batch_size", "precision", "device")
        return {name: getattr(self, name) for name in names}


@dataclass
class Study:
    """Asks one process after another, and writes report.json and table.md to `plan.out`. What was answered once is not
    asked again."""

    plan: Plan
    on_step: OnStep

    def run(self) -> Path:
        """The report. Raises: MeasuringFailed."""
        plan = self.plan
        wanted = [(size, USUAL) for size in sorted({*plan.sizes, plan.slabs_at, *SIZES})]
        wanted += [(size, slabs) for size in sorted({plan.slabs_at, max(SIZES)}) for slabs in SHARES if slabs != USUAL]
        rows = []
        for done, (size, slabs) in enumerate(wanted):
            self.on_step(f"train {size}^3", done, len(wanted))
            rows.append(self._trained(size, slabs, size == plan.slabs_at or (size in plan.sizes and slabs == USUAL)))
        for done, size in enumerate(plan.sizes):
            self.on_step(f"generate {size}^3", done, len(plan.sizes))
            rows.append(self._generated(size))
        report = {
            "study": "memory",
            "plan": {key: value for key, value in asdict(plan).items() if key != "out"},
            "rows": [row.as_json() for row in rows],
            "not_reproduced": NOT_REPRODUCED,
        }
        (plan.out / "table.md").write_text(table(rows))
        path = plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path

    def _trained(self, size: int, slabs: int, is_measured: bool) -> Row:
        settings = self.plan.settings | {"size": size}
        found = self._once({"what": "count", "slabs": slabs, "settings": settings}, lambda: counted(slabs, settings))
        held = self._ask("train", size, slabs) if is_measured else {}
        return Row("train", size, slabs, found["parameters"], found["counted_bytes"], held.get("began_bytes"),
                   held.get("peak_bytes"), held.get("seconds"))  # fmt: skip

    def _generated(self, size: int) -> Row:
        held = self._ask("generate", size, USUAL, before="write")
        return Row("generate", size, USUAL, held["parameters"], None, held["began_bytes"], held["peak_bytes"],
                   held["seconds"])  # fmt: skip

    def _ask(self, what: str, size: int, slabs: int, before: str | None = None) -> dict[str, Any]:
        """Of a process of its own; `before`: what another does first."""
        asked = {"slabs": slabs, "settings": self.plan.settings | {"size": size}}

        def ask() -> dict[str, Any]:
            if before is not None:
                self._process({"what": before} | asked)
            return self._process({"what": what} | asked)

        return self._once({"what": what} | asked, ask)

    def _once(self, asked: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer, which is found where an earlier run has not."""
        path, key = self.plan.out / ANSWERS, json.dumps(asked, sort_keys=True)
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if key not in known:
            known[key] = find()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known, indent=1) + "\n")
        found: dict[str, Any] = known[key]
        return found

    def _process(self, asked: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", CHILD, json.dumps(asked | {"out": str(self.plan.out)})]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own module
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise MeasuringFailed(f"{asked['what']} {asked['settings']['size']}^3 ended with {done.returncode}: {last}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
