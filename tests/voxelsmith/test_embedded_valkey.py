"""The embedded Valkey: durable, private, one per folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.processes import eventually
from tests.support.ready import is_alive
from voxelsmith.data_folder import DataFolderError
from voxelsmith.embedded_valkey import EmbeddedValkey

OWNER = """
import sys, time
from pathlib import Path
from voxelsmith.embedded_valkey import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]))
server.start()
print(server._process.pid, flush=True)
time.sleep(60)
"""


def start_owner(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that owns a server on `folder`, and the server's pid."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    return owner, int(owner.stdout.readline())


def put(server: EmbeddedValkey, key: str, value: str) -> None:
    with redis.Redis.from_url(server.url) as connection:
        connection.set(key, value)


def read(server: EmbeddedValkey, key: str) -> bytes | None:
    with redis.Redis.from_url(server.url) as connection:
        return connection.get(key)


def test_keeps_its_data_over_a_restart_and_leaves_only_its_files(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "data") as server:
        put(server, "a", "1")
    assert {path.name for path in server.folder.iterdir()} == {
        "appendonlydir",
        "owner.lock",
        "server.lock",
        "valkey.log",
    }
    with EmbeddedValkey(tmp_path / "data") as server:
        assert read(server, "a") == b"1"


def test_is_durable_private_and_never_evicts(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "with space" / "data") as server:
        with redis.Redis.from_url(server.url) as connection:
            settings = connection.config_get("*")
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "always"
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["port"] == "0"
        assert server.socket_path.stat().st_mode & 0o777 == 0o700
        assert server.folder.stat().st_mode & 0o777 == 0o700


def test_a_second_stack_on_the_folder_is_refused(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        with pytest.raises(DataFolderError, match="another Voxelsmith is running"):
            EmbeddedValkey(tmp_path).start()
        put(server, "still", "there")


@pytest.mark.fault
def test_an_orphan_is_stopped_and_its_data_kept(tmp_path: Path) -> None:
    owner, orphan = start_owner(tmp_path)
    put(EmbeddedValkey(tmp_path), "a", "1")
    owner.kill()
    owner.communicate()
    assert is_alive(orphan)
    with EmbeddedValkey(tmp_path) as server:
        eventually(lambda: not is_alive(orphan))
        assert read(server, "a") == b"1"


@pytest.mark.fault
def test_an_orphan_that_does_not_answer_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxelsmith.embedded_valkey.STOP_S", 3.0)  # SIGKILL too has so long to work
    owner, orphan = start_owner(tmp_path)
    os.kill(orphan, signal.SIGSTOP)
    owner.kill()
    owner.communicate()
    with EmbeddedValkey(tmp_path) as server:
        eventually(lambda: not is_alive(orphan))
        assert server.is_running


@pytest.mark.fault
def test_a_killed_server_is_restarted_with_its_data(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        put(server, "a", "1")
        assert server._process
        server._process.kill()
        server._process.wait()
        server.restart()
        assert read(server, "a") == b"1"


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    with EmbeddedValkey(folder) as server:
        put(server, "a", "1")
        short = server.socket_path.parent
        assert short != server.folder
    assert not short.exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="cannot use"):
        EmbeddedValkey(tmp_path / "file" / "data").start()
