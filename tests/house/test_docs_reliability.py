"""docs/reliability.md names every test of a fault, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()
ROW = re.compile(r"^\| (?!fault \|)([^|]+) \| ([^|]+) \| (`test_[^|]+) \|$", re.MULTILINE)


def fault_tests() -> Iterator[str]:
    """Names of functions that are marked `fault` by themselves or with their whole file."""
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        whole = any(
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "pytestmark"
            and "mark.fault" in ast.unparse(node.value)
            for node in tree.body
        )
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
                if whole or "pytest.mark.fault" in decorators:
                    yield node.name


def test_every_fault_in_the_table_has_its_tests_and_every_test_its_fault() -> None:
    named = {name for _, _, tests in ROW.findall(TEXT) for name in re.findall(r"`(test_\w+)`", tests)}
    marked = list(fault_tests())
    assert len(set(marked)) == len(marked), "two tests of faults have one name"
    assert named == set(marked)
    assert len(ROW.findall(TEXT)) >= 30
