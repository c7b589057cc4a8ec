"""The result store: what has a name is whole and on disk, and nothing else is left."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import LeaseLost, StoreFull, StoreUnavailable, UnknownResult
from jobs.results import durable_files
from jobs.results.store import ResultStore
from tests.support.disks import small_disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "a store"


@pytest.fixture
def store(root: Path) -> ResultStore:
    return ResultStore(f"file://{root}".replace(" ", "%20"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """3 MiB and a bit, so that it is read in several pieces."""
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * 2**20 + 17))
    return path


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system of 1 MiB; needs the right to mount."""
    with small_disk("1m") as folder:
        yield folder


def left_behind(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


def test_a_written_file_reads_back_with_its_size_and_digest(store: ResultStore, source: Path, root: Path) -> None:
    content = source.read_bytes()
    assert store.write("results/j/000.nii.gz", source) == (len(content), hashlib.sha256(content).hexdigest())
    assert b"".join(store.open("results/j/000.nii.gz")) == content
    assert store.size("results/j/000.nii.gz") == len(content)
    assert store.verify("results/j/000.nii.gz", hashlib.sha256(content).hexdigest())
    with store.read_path("results/j/000.nii.gz") as path:
        assert path.read_bytes() == content
    assert left_behind(root) == ["results/j/000.nii.gz"]


def test_an_open_file_is_stored_whole_wherever_it_stands(store: ResultStore, source: Path) -> None:
    content = source.read_bytes()
    written = (len(content), hashlib.sha256(content).hexdigest())
    with source.open("rb") as file:
        file.seek(17)
        assert store.write("uploads/j/scan", file) == written
        assert store.write("uploads/j/again", file, known=written) == written
    for key in ("uploads/j/scan", "uploads/j/again"):
        assert b"".join(store.open(key)) == content


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 2_000_000), (3 * 2**20, None), (7, 7), (0, 10**9), (10**9, None)]
)
def test_any_part_can_be_read(store: ResultStore, source: Path, start: int, end: int | None) -> None:
    store.write("results/j/a", source)
    assert b"".join(store.open("results/j/a", start, end)) == source.read_bytes()[start:end]


def test_an_empty_file_is_a_file(store: ResultStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert store.write("results/j/empty", tmp_path / "empty")[0] == 0
    assert b"".join(store.open("results/j/empty")) == b""


def test_replacing_is_all_or_nothing_for_readers(store: ResultStore, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1" * 500_000)
    two.write_bytes(b"2" * 500_000)
    store.write("results/j/a", one)
    over = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(b"".join(store.open("results/j/a")))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        store.write("results/j/a", two)
        store.write("results/j/a", one)
    over.set()
    reader.join()
    assert seen <= {b"1" * 500_000, b"2" * 500_000}


def test_a_file_stays_readable_while_it_is_removed(store: ResultStore, source: Path) -> None:
    store.write("results/j/a", source)
    pieces = store.open("results/j/a")
    first = next(pieces)
    store.remove_prefix("results/j")
    assert first + b"".join(pieces) == source.read_bytes()
    with pytest.raises(UnknownResult):
        store.size("results/j/a")


def test_an_exclusive_write_replaces_nothing(store: ResultStore, source: Path, tmp_path: Path, root: Path) -> None:
    store.write("directions/m/a.json", source, exclusive=True)
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        store.write("directions/m/a.json", tmp_path / "other", exclusive=True)
    assert store.size("directions/m/a.json") == len(source.read_bytes())
    assert left_behind(root) == ["directions/m/a.json"]


def test_what_stops_a_write_leaves_nothing(store: ResultStore, source: Path, root: Path) -> None:
    def refuse() -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        store.write("results/j/a", source, check=refuse)
    with pytest.raises(StoreUnavailable):
        store.write("results/j/b", source.with_name("missing"))
    assert left_behind(root) == []


@pytest.mark.fault
def test_a_full_disk_is_said_and_leaves_no_temp_file(tiny_disk: Path, source: Path, tmp_path: Path) -> None:
    store = ResultStore(f"file://{tiny_disk}/store")
    with pytest.raises(StoreFull):
        store.write("results/j/a", source)
    assert left_behind(tiny_disk) == []
    (tmp_path / "small").write_bytes(b"small")
    store.write("results/j/a", tmp_path / "small")
    assert store.writable()


@pytest.mark.fault
def test_a_store_that_went_away_is_unavailable(store: ResultStore, source: Path, root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    root.touch()
    with pytest.raises(StoreUnavailable) as failure:
        store.write("results/j/a", source)
    assert str(root) not in failure.value.detail
    assert not store.writable()


@pytest.mark.parametrize(
    "key", ["../x", "results/../../x", "/etc/passwd", "results//x", "", "a/.tmp/x", "results/x\n", "é"]
)
def test_a_key_cannot_leave_the_store(store: ResultStore, source: Path, key: str) -> None:
    for use in (lambda: store.write(key, source), lambda: store.open(key), lambda: store.remove_prefix(key)):
        with pytest.raises(ValueError, match="key"):
            use()


def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(store: ResultStore, source: Path) -> None:
    for key in ("results/j/a", "results/j/b", "results/j2/a"):
        store.write(key, source)
    assert store.list("results/j") == ["results/j/a", "results/j/b"]
    store.remove_prefix("results/j")
    store.remove_prefix("results/j")
    assert store.list("results") == ["results/j2/a"]


def test_a_flipped_bit_is_noticed(store: ResultStore, source: Path, root: Path) -> None:
    _, digest = store.write("results/j/a", source)
    with (root / "results/j/a").open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    assert not store.verify("results/j/a", digest)


@pytest.mark.fault
def test_a_writer_killed_in_the_middle_leaves_only_what_the_sweep_removes(store: ResultStore, root: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from jobs.results.store import ResultStore
source = Path(sys.argv[2]); source.write_bytes(b"x" * 100)
ResultStore(sys.argv[1]).write("results/j/a", source, check=lambda: os.kill(os.getpid(), 9))
"""
    url = f"file://{root}".replace(" ", "%20")
    killed = subprocess.run([sys.executable, "-c", script, url, str(root.parent / "x")])
    assert killed.returncode == -9
    with pytest.raises(UnknownResult):
        store.size("results/j/a")
    assert len(left_behind(root)) == 1
    store.sweep(lambda _: True)
    assert left_behind(root) == []


def test_a_sweep_in_another_container_of_the_same_name_spares_what_is_written(
    store: ResultStore, source: Path, root: Path
) -> None:
    container = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*container, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a PID namespace")
    swept = "from jobs.results.durable_files import sweep_temp; sweep_temp(Path(sys.argv[1]))"
    script = f"import sys; from pathlib import Path; {swept}"

    def swept_elsewhere() -> None:
        (temp,) = (root / ".tmp").iterdir()
        subprocess.run([*container, sys.executable, "-c", script, str(temp.parent)], check=True)
        assert temp.exists()

    store.write("results/j/a", source, check=swept_elsewhere)
    assert left_behind(root) == ["results/j/a"]


def test_the_sweep_spares_known_and_young(store: ResultStore, source: Path, root: Path) -> None:
    for key in ("results/known/a", "results/orphan/a", "uploads/orphan/a", "uploads/young/a", "directions/m/a.json"):
        store.write(key, source)
    old = time.time() - 7200
    for key in ("results/known/a", "results/orphan/a", "uploads/orphan/a", "directions/m/a.json"):
        os.utime(root / key, (old, old))
    assert store.sweep(lambda job_id: job_id == "known") == 2
    assert sorted(left_behind(root)) == ["directions/m/a.json", "results/known/a", "uploads/young/a"]


def test_a_sweep_that_cannot_remove_says_so_and_ends_no_thread(store: ResultStore, root: Path) -> None:
    (root / ".tmp").mkdir()
    whose = durable_files.temp_path(root / ".tmp").name.split(f".{os.getpid()}.")[0]
    (root / ".tmp" / f"{whose}.999999999.x").mkdir()
    with pytest.raises(StoreUnavailable):
        store.sweep(lambda _: True)


def test_every_file_is_synced_before_it_has_its_name(store: ResultStore, source: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = f"""
from pathlib import Path
from jobs.results.store import ResultStore
ResultStore("file://{tmp_path}/s").write("results/j/a", Path({str(source)!r}))
"""
    command = [
        "strace",
        "-f",
        "-y",
        "-e",
        "trace=fsync,rename,renameat,renameat2",
        "-o",
        trace,
        sys.executable,
        "-c",
        script,
    ]
    try:
        subprocess.run(command, check=True, timeout=60, env={"PATH": os.environ["PATH"]})
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    calls = [line for line in trace.read_text().splitlines() if "fsync" in line or "results/j/a" in line]
    names = [
        "file" if ".tmp/" in line and "fsync" in line else "rename" if "rename" in line else "folder" for line in calls
    ]
    assert names.index("file") < names.index("rename") < len(names) - 1
    assert names[-1] == "folder"


def test_a_missing_file_is_unknown(store: ResultStore) -> None:
    with pytest.raises(UnknownResult):
        store.open("results/j/a")
    with pytest.raises(UnknownResult), store.read_path("results/j/a"):
        pass
    with pytest.raises(UnknownResult):
        store.remove("results/j/a")
