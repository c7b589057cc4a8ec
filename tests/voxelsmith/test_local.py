"""`voxelsmith serve` as a process: one command, everything behind it, and nothing left when it is gone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import children, command_line, eventually
from tests.support.ready import await_ready, is_alive
from voxelsmith import Client
from voxelsmith.local import listen
from voxelsmith.problems import ServerUnreachable


class Service:
    """A running `voxelsmith serve`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = (folder / "log").open("a+")
        words = ["--models", str(folder / "models"), "serve", "--data", str(folder / "data"), "--port", "0", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "voxelsmith", *words],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, "VOXELSMITH_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        assert self.process.stdout
        first = self.process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + self.text()
        self.url = found.group()

    def text(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def family(self) -> dict[int, str]:
        """Processes below this one (Valkey, workers) with their command lines."""
        return {pid: name for pid in children(self.process.pid) if (name := command_line(pid))}

    def signal_all(self, number: int) -> None:
        """As the terminal does on Ctrl-C: the whole process group."""
        os.killpg(self.process.pid, number)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=60)
        self.log.close()


def ignores(pid: int, number: int) -> bool:
    found = re.search(r"SigIgn:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return bool(int(found[1], 16) >> (number - 1) & 1)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    write_tiny_hagan(tmp_path / "models", "tiny")
    services: list[Service] = []

    def launch(*options: str) -> Service:
        services.append(Service(tmp_path, *options))
        return services[-1]

    yield launch
    for service in services:
        service.close()


@pytest.mark.timeout(240)
@pytest.mark.fault
def test_kill_9_of_the_parent_loses_no_job_and_leaves_no_worker(start: Callable[..., Service], tmp_path: Path) -> None:
    service = start()
    await_ready(service.url)
    with Client(service.url) as client:
        made = client.generate(model="tiny", seed=3, num_samples=2).wait()
        (scan,) = [path for path in made.download(tmp_path / "out") if path.name == "000.nii.gz"]
        encoded = client.encode(scan, model="tiny", reconstruct=True).wait()
        edited = client.edit(
            model="tiny", source={"job": encoded.id}, edit={"op": "interpolate", "target": {"seed": 1}, "steps": 3}
        ).wait()
        before = np.asarray(made.volume(1).dataobj)
    family = service.family()
    assert sorted("valkey" in name for name in family.values()) == [False, True]
    service.process.kill()
    service.process.wait()
    workers = [pid for pid, name in family.items() if "valkey" not in name]
    eventually(lambda: not any(is_alive(pid) for pid in workers))

    again = start()
    eventually(lambda: not any(is_alive(pid) for pid in family))  # the orphaned Valkey is stopped
    await_ready(again.url)
    with Client(again.url) as client:
        assert {job.id for job in client.jobs()} == {made.id, encoded.id, edited.id}
        assert np.array_equal(np.asarray(client.job(made.id).volume(1).dataobj), before)
        rerun = client.generate(model="tiny", seed=3, num_samples=2).wait()
        assert [entry["sha256"] for entry in rerun.results] == [entry["sha256"] for entry in made.results]
    family = again.family()
    again.signal_all(signal.SIGINT)
    assert again.process.wait(60) == 0
    eventually(lambda: not any(is_alive(pid) for pid in family))
    assert not (tmp_path / "data" / "queue" / "valkey.sock").exists()


@pytest.mark.timeout(240)
@pytest.mark.fault
def test_a_job_queued_when_the_parent_dies_is_done_by_the_next_one(start: Callable[..., Service]) -> None:
    service = start()
    with Client(service.url) as client:  # no worker is up yet
        job = client.generate(model="tiny", seed=3)
    service.process.kill()
    service.process.wait()
    again = start()
    with Client(again.url) as client:
        assert nibabel.aff2axcodes(client.job(job.id).wait(timeout_s=120).volume(0).affine)
    again.signal_all(signal.SIGTERM)
    assert again.process.wait(60) == 0


@pytest.mark.fault
def test_a_dead_valkey_is_started_again_under_the_service(start: Callable[..., Service]) -> None:
    service = start()
    with Client(service.url) as client:
        job = client.generate(model="tiny", seed=3)
        valkey = min(pid for pid, name in service.family().items() if "valkey" in name)  # later ones are its children
        os.kill(valkey, signal.SIGKILL)
        assert job.wait(timeout_s=180).state == "succeeded"
    assert "starting it again" in service.text()


def test_a_second_serve_on_the_folder_is_refused_in_one_line(start: Callable[..., Service], tmp_path: Path) -> None:
    start()
    words = [sys.executable, "-m", "voxelsmith", "serve", "--data", str(tmp_path / "data"), "--port", "0"]
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("voxelsmith: another Voxelsmith is running on ")
    assert second.stderr.count("\n") == 1


def test_a_taken_port_and_an_open_host_are_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for options, reason in (
            (["--port", str(taken.getsockname()[1])], "cannot listen on 127.0.0.1"),
            (["--host", "0.0.0.0", "--port", "0"], "loopback"),
        ):
            words = [sys.executable, "-m", "voxelsmith", "serve", "--data", str(tmp_path), *options]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert reason in done.stderr
            assert done.stderr.count("\n") == 1


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """asyncio turns Nagle's delay (40 ms an answer) off only for sockets that were made with the protocol's number."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


@pytest.mark.timeout(240)
@pytest.mark.fault
def test_ctrl_c_twice_is_no_fault_of_the_job(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXELSMITH_MAX_CRASHES", "1")
    service = start()
    await_ready(service.url)
    with Client(service.url) as client:
        job = client.generate(model="tiny", seed=1, num_samples=64)
        eventually(lambda: job.refresh().results)
    for pid, name in service.family().items():
        if "workers.main" in name:
            os.kill(pid, signal.SIGSTOP)  # as one whose sample takes long
    service.process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two at once would count as one
    service.process.send_signal(signal.SIGINT)
    service.process.wait(60)
    again = start()
    with Client(again.url) as client:
        assert client.job(job.id).wait(timeout_s=120).record["attempts"] == 2


def test_a_service_started_by_nohup_outlives_its_terminal(start: Callable[..., Service]) -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, before it becomes the service
    try:
        service = start()
    finally:
        signal.signal(signal.SIGHUP, usual)
    await_ready(service.url)
    assert all(ignores(pid, signal.SIGHUP) for pid in (service.process.pid, *service.family()))
    service.signal_all(signal.SIGHUP)
    with Client(service.url) as client:
        assert client.generate(model="tiny", seed=1).wait(timeout_s=120).state == "succeeded"


def test_a_second_ctrl_c_does_not_wait(start: Callable[..., Service]) -> None:
    service = start()
    family = service.family()
    service.process.send_signal(signal.SIGINT)
    service.process.send_signal(signal.SIGINT)
    service.process.wait(60)
    eventually(lambda: not any(is_alive(pid) for pid in family))
    with Client(service.url) as client, pytest.raises(ServerUnreachable):
        client.ready()
