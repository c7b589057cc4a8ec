"""A model folder appears whole, on disk, or not at all, wherever the writing stops."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model_store.faults import Refusal
from model_store.folder import NotWritten, staged

WRITER = """
import os, shutil, signal, sys
from pathlib import Path
from model_store import folder

root, last, left = Path(sys.argv[1]), 1, 0
os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote, and syncing takes long

def count(frame, event, argument):
    global left
    if frame.f_code.co_filename != folder.__file__:
        return None
    if event == "line":
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    return count

def write():
    with folder.staged(root, "model", force=True) as new:
        (new / "weights").write_text("new")
        (new / "card").write_text("new")
        (new / "directions").mkdir()
        (new / "directions" / "one").write_text("new")

# A child for each line: it is killed before that line runs. The first that comes to the end tells how many there are.
while True:
    child = os.fork()
    if not child:
        left = last
        sys.settrace(count)
        write()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    found = {p.name: p.read_text() for p in (root / "model").glob("*") if p.is_file()}
    print(last, os.WIFSIGNALED(status), sorted(found.items()), flush=True)
    if not os.WIFSIGNALED(status):
        break
    for left_behind in root.glob(".importing-*"):  # younger than what a writer sweeps
        shutil.rmtree(left_behind)
    last += 1
"""
OLD, NEW = [("card", "old"), ("weights", "old")], [("card", "new"), ("weights", "new")]


def write(root: Path, name: str, text: str) -> None:
    with staged(root, name, force=True) as folder:
        (folder / "weights").write_text(text)
        (folder / "card").write_text(text)


def hidden(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("has_model", [True, False])
def test_a_writer_killed_at_any_line_leaves_one_whole_model_or_none(tmp_path: Path, has_model: bool) -> None:
    if has_model:
        write(tmp_path, "model", "old")
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split(" ", 2)[2] for line in done.stdout.splitlines()]
    whole = [str(NEW), str(OLD) if has_model else "[]"]
    assert len(found) > 40
    assert set(found) == set(whole)
    assert found[-1] == str(NEW)


def test_where_folders_cannot_change_places_the_next_writing_puts_back_what_stepped_aside(tmp_path: Path) -> None:
    """One moment is left in which the name holds nothing; the model itself is there, and comes back."""
    write(tmp_path, "model", "old")
    (tmp_path / "model").rename(tmp_path / ".replaced-model~x1y2")
    write(tmp_path, "model-2", "another")
    assert not (tmp_path / "model").exists()
    with pytest.raises(NotWritten, match="exists already"), staged(tmp_path, "model", force=False):
        pass
    assert (tmp_path / "model" / "card").read_text() == "old"
    assert hidden(tmp_path) == []


def test_what_a_killed_writer_left_behind_is_removed_once_nobody_holds_it(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from model_store.folder import staged\n"
        "with staged(Path(sys.argv[1]), 'model', force=True) as folder:\n"
        "    (folder / 'weights').write_text('x'); os.utime(folder, (0, 0)); print('here', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        write(tmp_path, "other", "x")
        assert len(hidden(tmp_path)) == 1  # it is being written, old as it looks
        writer.kill()
    write(tmp_path, "other", "x")
    assert hidden(tmp_path) == []


def test_what_fails_in_the_block_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "model", "old")
    with pytest.raises(json.JSONDecodeError), staged(tmp_path, "model", force=True) as folder:
        (folder / "weights").write_text(json.loads("{"))
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert hidden(tmp_path) == []


def test_a_link_to_a_model_is_replaced_and_what_it_led_to_stays(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "model", "old")
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere" / "model")
    write(tmp_path, "model", "new")
    assert not (tmp_path / "model").is_symlink()
    assert (tmp_path / "model" / "card").read_text() == "new"
    assert (tmp_path / "elsewhere" / "model" / "card").read_text() == "old"
    assert hidden(tmp_path) == []


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    with staged(tmp_path, "model", force=False) as folder:
        (folder / "directions").mkdir(mode=0o700)
        (folder / "directions" / "one.json").touch(mode=0o600)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").rglob("*")}
    assert modes == {"directions": 0o755, "one.json": 0o644}
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_a_name_that_no_model_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="model's name"), staged(tmp_path, "../model", force=True):
        pass
