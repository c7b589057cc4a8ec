"""The study of parameters: every count is the paper's, and the page shows the same table."""

import json
from pathlib import Path

from typer.testing import CliRunner

from evaluation.studies.parameters import rows
from voxelsmith.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "studies" / "parameters.md"


def test_every_count_is_the_papers_and_the_page_has_it() -> None:
    found = rows()
    assert len(found) == 12
    assert [row.ours for row in found] == [row.theirs for row in found]
    page = PAGE.read_text()
    for row in found:
        assert f"| {row.paper} | {row.table} | {row.what} | {row.ours} | {row.theirs} |" in page


def test_the_command_prints_the_table() -> None:
    done = CliRunner().invoke(app, ["study", "parameters", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0] == {
        "paper": "HA-GAN", "table": "VII", "what": "32^3", "ours": "74.7", "theirs": "74.7",
    }  # fmt: skip
