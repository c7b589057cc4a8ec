"""Files in a user's folder: whole under their name or not there, and a full disk is told by the user's own path."""

import errno
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.state import ResultFile
from volumes.whole_file import taking_the_place_of
from workers.writing.folder_sink import FolderSink


class BrokenOffError(Exception):
    """What breaks off a write."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def entry(name: str) -> ResultFile:
    return ResultFile(name=name, index=0, media_type="application/gzip", size_bytes=1, sha256="a" * 64)


def test_a_full_disk_leaves_the_older_file_and_names_it(small_disk: Path, tmp_path: Path) -> None:
    made = tmp_path / "scratch.nii.gz"
    made.write_bytes(b"old")
    sink = FolderSink(small_disk)
    sink.keep(made, entry("000.nii.gz"))
    made.write_bytes(bytes(2**21))
    with pytest.raises(OSError, match=r"000\.nii\.gz") as caught:
        sink.keep(made, entry("000.nii.gz"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(small_disk / "000.nii.gz"))
    assert (small_disk / "000.nii.gz").read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["000.nii.gz"]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    def fail() -> None:
        with taking_the_place_of(path) as file:
            file.write(b"half of the new one")
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        fail()
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_command_says_what_is_full_and_makes_nothing_that_cannot_fit(small_disk: Path, tmp_path: Path) -> None:
    out = small_disk / "out"
    words = ("generate", "--model", "brain-demo-256", "--seed", "1", "--out", str(out))
    command = [sys.executable, "-m", "voxelsmith", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"voxelsmith: {out} has room for")
    assert len(done.stderr.splitlines()) == 1
    assert not list(out.iterdir())


def kept(sink: FolderSink, scratch: Path, index: int) -> list[ResultFile]:
    """A volume and its picture, as the writer makes them."""
    made = []
    for name, facts in ((f"{index}.png", {}), (f"seed-{index}.nii", {"shape": [1, 1, 1], "preview": f"{index}.png"})):
        scratch.write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        file = ResultFile(
            name=name,
            index=index,
            media_type="a/b",
            size_bytes=len(name),
            sha256=digest,
            **facts,  # type: ignore[arg-type]
        )
        made.append(sink.keep(scratch, file))
    return made


def test_notes_lead_on_after_the_samples_that_are_as_they_were(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "out", tmp_path / "scratch"
    first = FolderSink(folder, has_notes=True)
    assert first.resume("a" * 64, ()) == []
    made = [kept(first, scratch, index) for index in range(3)]
    assert FolderSink(folder, has_notes=True).resume("b" * 64, ()) == [], "another job"
    assert FolderSink(folder).resume("a" * 64, ()) == [], "without notes"
    assert FolderSink(folder, has_notes=True).resume("a" * 64, ()) == made
    (folder / "1.png").write_bytes(b"2.png")
    second = FolderSink(folder, has_notes=True)
    assert second.resume("a" * 64, ()) == made[:1], "of a damaged sample and those after it nothing is taken"
    assert [entry.name for entry in second.results] == ["seed-0.nii"]
    second.finish()
    assert FolderSink(folder, has_notes=True).resume("a" * 64, ()) == []
