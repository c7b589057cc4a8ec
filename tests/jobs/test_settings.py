"""Settings that cannot be meant are told at the start."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from jobs.settings import Settings

ADDRESSES = [
    *(
        "localhost:6379",
        "http://localhost",
        "redis://localhost:99999/0",
        "redis://:hunter2@localhost:port/0",
        "redis://[::1",
    ),
    *("redis://localhost/0?db=first", "redis://localhost/0?socket_timeout=soon", "unix://", "", "redis"),
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be redis://") as refused:
        Settings(redis_url=url)  # type: ignore[arg-type]
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("redis://127.0.0.1:6379/0", "redis://user:p%40ss@queue.example", "rediss://[::1]:6379/3?db=2"),
        *("unix:///run/valkey.sock", "unix://:secret@/run/valkey.sock?db=1&username=plain"),
    ],
)
def test_an_address_that_the_client_reads_is_taken(url: str) -> None:
    assert Settings(redis_url=url).redis_url.get_secret_value() == url  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["job_timeout_s", "lease_s", "shutdown_grace_s", "model_patience_s", "result_ttl_s"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
def test_a_time_without_end_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting",
    [
        "VOXELSMITH_REDIS_URL=localhost:6379",
        "VOXELSMITH_REDIS_URL=redis://:hunter2@localhost:99999/0",
        "VOXELSMITH_JOB_TIMEOUT_S=inf",
    ],
)
def test_a_command_tells_of_it_without_a_traceback(setting: str) -> None:
    name, _, value = setting.partition("=")
    command = [sys.executable, "-m", "voxelsmith", "keys", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env={name: value})
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.splitlines()[-1].startswith(f"Error: Invalid value: {name}: ")
    assert "Traceback" not in told.stderr
    assert "hunter2" not in told.stderr
