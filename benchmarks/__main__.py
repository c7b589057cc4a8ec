"""The command: `python -m benchmarks` (`make bench`), with `--device cuda:0` the same on a GPU (`make bench-gpu`).

A whole run takes a quarter of an hour on two cores. It writes benchmarks/results/<device>.json, and the picture and the
table of docs/performance.md. A run of some parts, or a quick one, leaves the documents alone and writes all three to
benchmarks/results/, unless --record says otherwise.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.children import ChildFailed
from benchmarks.parts import PARTS, measure
from benchmarks.plot import draw
from benchmarks.results import Plan, Run, read, save
from benchmarks.table import markdown, put_between
from benchmarks.targets import judge

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
QUICK = {"repeats": 2, "plain_repeats": 1, "counts": (1, 2), "translated": (64, 128), "knocks": 10}


def main() -> int:
    """0, or 1 where a measurement failed."""
    options = _options()
    if options.redraw:
        run: Run | None = read(options.redraw)
    else:
        try:
            run = measure(_plan(options), options.only, _Progress())
        except ChildFailed as err:
            sys.stderr.write(f"{err}\n")
            return 1
    if run is None:
        sys.stdout.write(f"There is no {options.device} on this machine: nothing was measured.\n")
        return 0
    kind = "bench" if run.plan.device == "cpu" else "bench-gpu"
    is_whole = set(options.only) == set(PARTS) and _plan(options) == Plan(device=options.device)
    record = (is_whole or options.record) and not options.out
    out = options.out or HERE / "results"
    name = f"{kind}{'' if record else '-part'}"
    targets = judge(run)
    picture = DOCS / "images" / f"{kind}.png" if record else out / f"{name}.png"
    if not options.redraw:
        save(run, out / f"{name}.json", targets)
    draw(run, picture)
    text = markdown(run, targets, f"images/{picture.name}" if record else picture.name)
    (out / f"{name}.md").write_text(text + "\n")
    if record:
        put_between(DOCS / "performance.md", kind, text)
    for target in targets:
        sys.stdout.write(f"{target.verdict:12} {target.name}: {target.measured} (wanted {target.wanted})\n")
    sys.stdout.write(f"written: {out / name}.json, {picture}{', docs/performance.md' if record else ''}\n")
    return 1 if run.failures else 0


class _Progress:
    """One line per measurement, with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, line: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - self._begun:4.0f} s] {line}\n")
        sys.stdout.flush()


def _plan(options: argparse.Namespace) -> Plan:
    plan = {"device": options.device, "threads": options.threads, "width": options.width, "latent": options.latent}
    plan |= {
        "subjects": tuple(options.subjects),
        "sizes": tuple(sorted(options.sizes)),
        "precisions": tuple(options.precisions),
        "matrix_edge": options.matrix_edge,
    }
    plan |= QUICK if options.quick else {}
    if options.repeats:
        plan |= {"repeats": options.repeats, "plain_repeats": options.repeats}
    return Plan(**plan)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--subjects", nargs="+", default=(), help="networks of subjects.py; by default all")
    parser.add_argument("--sizes", type=int, nargs="+", default=Plan.sizes, help="edges in voxels")
    parser.add_argument("--precisions", nargs="+", default=(), help="by default all that pay on the device")
    parser.add_argument("--repeats", type=int, help="of everything but the tiny requests")
    parser.add_argument("--quick", action="store_true", help="few repeats, up to two samples")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's own choice")
    parser.add_argument("--width", type=int, help="of the networks; by default their full width")
    parser.add_argument("--latent", type=int, help="length; by default the full one")
    parser.add_argument("--matrix-edge", type=int, default=0, help="of the matrix products; by default a large one")
    parser.add_argument("--record", action="store_true", help="write to the documents even so")
    parser.add_argument("--out", type=Path, help="a folder for everything instead; the documents stay as they are")
    parser.add_argument("--redraw", type=Path, metavar="JSON", help="picture and table of an earlier run")
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
