"""What strangers wrote is shown as text: it moves no cursor, changes no colour, opens no link, renames no window."""

import json
import logging
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contract.plain_text import plain
from jobs.logs import PlainLines
from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith.cli import app
from voxelsmith.commands import models
from voxelsmith.commands.told.report import print_json, print_table
from voxelsmith.problems import ClientError

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egnp.exe\u2028\ud800 [red]red[/red] [link=http://x]x[/link]"
HARMLESS = "Tête à 64³, 頭部, سر‌درد, 12 %"


def unsafe(text: str) -> list[str]:
    """Characters that do something to a terminal."""
    return [sign for sign in text if unicodedata.category(sign) in ("Cc", "Zl", "Cs") and sign != "\n"] + [
        sign for sign in text if "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
    ]


def test_hostile_text_is_escaped_and_what_people_write_is_not() -> None:
    assert not unsafe(plain(HOSTILE))
    assert "\\x1b]0;owned\\x07" in plain(HOSTILE)
    assert plain(HARMLESS) == HARMLESS
    assert plain("two\nlines") == "two\nlines"


def test_a_cards_title_and_a_broken_folders_name_do_nothing_in_models_list(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path, "tiny")
    card = tmp_path / "tiny" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"title": HOSTILE.replace("\ud800", "")}))
    (tmp_path / "\x1b[31mred").mkdir()
    (tmp_path / "\x1b[31mred" / "card.json").write_text("{")
    for words in (["list"], ["list", "--json"], ["show", "tiny"], ["verify", "tiny"], ["show", "\x1b[31mred"]):
        result = CliRunner().invoke(app, ["--models", str(tmp_path), "models", *words])
        assert not unsafe(result.output), words
    listed = CliRunner().invoke(app, ["--models", str(tmp_path), "models", "list"]).output
    assert "[red]" in listed, "brackets are no markup either"


def test_json_stays_the_same_value(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"title": HOSTILE.replace("\ud800", ""), "note": HARMLESS, "big": "\U000e0001"}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert not unsafe(text)
    assert HARMLESS in text


def test_tables_and_logs_carry_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([HARMLESS], [[HOSTILE]], title=HOSTILE)
    assert not unsafe(capsys.readouterr().out)
    record = logging.LogRecord("voxelsmith", logging.WARNING, __file__, 1, "model %s", (HOSTILE,), None)
    assert not unsafe(PlainLines("%(message)s").format(record))


def test_a_refusal_in_a_strangers_words_is_one_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ClientError(HOSTILE)

    monkeypatch.setattr(models, "print_table", refuse)
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 1
    assert not unsafe(result.stderr)
    named = CliRunner().invoke(
        app, ["generate", "--model", "brain-demo-256", "--server", "\x1b[31mhost", "--seed", "1"]
    )
    assert (named.exit_code, unsafe(named.stderr)) == (2, [])
