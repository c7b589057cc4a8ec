"""voxelsmith keys, and a service that other machines can reach."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.settings import Settings
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.ready import await_ready
from voxelsmith import Client
from voxelsmith.local import Stack
from voxelsmith.problems import Unauthorized


def voxelsmith(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    home = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment}
    command = [sys.executable, "-m", "voxelsmith", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=home)


def test_a_key_made_before_the_service_opens_it_to_other_machines(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    made = json.loads(voxelsmith("keys", "create", "--name", "alice", "--expires", "1d", "--json", *data).stdout)
    assert (made["scopes"], made["state"]) == (["jobs"], "active")
    write_tiny_hagan(tmp_path / "models", "tiny")
    settings = Settings(models_url=str(tmp_path / "models"), host="0.0.0.0", port=0, threads=1)
    with Stack(tmp_path / "data", settings) as stack:
        await_ready(stack.url)
        words = ["generate", "--model", "tiny", "--seed", "1", "--server", stack.url, "--json"]
        done = voxelsmith(*words, "--out", str(tmp_path / "out"), VOXELSMITH_API_KEY=made["key"])
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out" / "seed-1.nii.gz").exists()
        refused = voxelsmith(*words, "--out", str(tmp_path / "none"))
        assert refused.returncode == 1
        assert refused.stderr == "voxelsmith: Send the API key as Authorization: Bearer <key>.\n"
        assert voxelsmith("keys", "revoke", made["id"], *data).returncode == 0
        with Client(stack.url, made["key"]) as client, pytest.raises(Unauthorized):
            client.models()
    listed = voxelsmith("keys", "list", *data).stdout
    assert "revoked" in listed
    assert made["key"] not in listed


def test_the_advice_to_make_a_key_is_for_the_services_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "of two words"
    refused = voxelsmith("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(folder))
    assert refused.returncode == 1
    assert f"`voxelsmith keys create --data '{folder}'`" in refused.stderr
    usual = voxelsmith("serve", "--host", "0.0.0.0", "--port", "0", XDG_DATA_HOME=str(tmp_path))
    assert "`voxelsmith keys create`" in usual.stderr


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["create", "--expires", "0d"], 2, "90d"),
        (["create", "--expires", "1000000d"], 2, "90d"),
        (["create", "--scope", "root"], 2, "scope"),
        (["create", "--name", "x" * 65], 2, "64"),
        (["revoke", "nothing"], 1, "no API key of that id"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, words: list[str], code: int, reason: str) -> None:
    done = voxelsmith("keys", *words, "--data", str(tmp_path))
    assert (done.returncode, reason in done.stderr) == (code, True), done.stderr
