"""Help that is whole, an example of each command, and refusals that name the option."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from voxelsmith.cli import app
from voxelsmith.commands.wording.examples import EXAMPLES
from voxelsmith.commands.wording.option_names import by_option
from voxelsmith.commands.wording.texts import first_sentence

COMMANDS: Any = typer.main.get_command(app)


def leaves(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


@pytest.mark.parametrize(("words", "command"), [*leaves(COMMANDS)])
def test_every_command_has_an_example_whose_options_it_has(words: str, command: Any) -> None:
    assert EXAMPLES[words].startswith(f"voxelsmith {words}") or EXAMPLES[words].endswith(f" {words}")
    given = {word for word in EXAMPLES[words].split() if word.startswith("--")} - {"--models"}
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert given <= known


def test_help_is_not_cut_and_shows_the_example() -> None:
    listed = CliRunner().invoke(app, ["models", "import", "--help"], env={"COLUMNS": "80"}).stdout
    assert "(Hong et al.)" in " ".join(listed.split())
    assert "..." not in listed.partition("Commands:")[2]
    assert max(map(len, listed.splitlines())) <= 80
    shown = CliRunner().invoke(app, ["edit", "--help"], env={"COLUMNS": "80"}).stdout
    assert f"  {EXAMPLES['edit'].splitlines()[0]}" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_sentence_ends_at_its_full_stop_and_not_at_et_al() -> None:
    assert (
        first_sentence("By Sun et al. 2022, as it\nstands. More of it.\n\nAnd more.")
        == "By Sun et al. 2022, as it stands"
    )


@pytest.mark.parametrize(
    ("pointer", "detail", "told"),
    [
        ("/num_samples", "must be at most 64", "--num-samples: must be at most 64"),
        ("/edit/strengths/0", "must be a number", "--strengths: must be a number"),
        ("/output/format", "must be nii", "--format: must be nii"),
        ("/class_label", "names are mild, severe", "--class: names are mild, severe"),
        ("/source/seed", "must be at least 0", "--seed: must be at least 0"),
        ("", "noise_seed goes with noise random", "--noise-seed goes with noise random"),
        ("", "give one of seed, seeds, latents; got seed and seeds",
         "give one of --seed, --seeds, --latents; got --seed and --seeds"),
        ("/strange/field", "is not known", "strange.field: is not known"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_option(pointer: str, detail: str, told: str) -> None:
    assert by_option(pointer, detail) == told


def test_wrong_use_names_the_option_on_the_command_line(tmp_path: Path) -> None:
    words = ["generate", "--model", "brain-demo-256", "--seed", "1", "--num-samples", "0", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "--num-samples" in result.stderr
    assert "num_samples" not in result.stderr
