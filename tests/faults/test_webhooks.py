"""Telling a job's end: senders are killed, receivers are down, slow or hostile, names lead where they should not."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from contract.webhooks import Receiver, receiver_of
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.webhooks.addresses import AddressRule
from jobs.webhooks.due import OF_ONE_RECEIVER
from jobs.webhooks.outcome import DeliveryError, Problem
from jobs.webhooks.post import MAX_READ, Courier
from tests.faults.test_api import front_end
from tests.support.cluster import free_port, write_certificate
from tests.support.processes import ValkeyProcess, eventually
from tests.support.receivers import odd_receiver, receiving
from tests.support.service_fixtures import LEASE_S, models, serving, until  # noqa: F401
from tests.support.sides import scripts

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]
LOCAL = "127.0.0.0/8"
BODY = {"model": "tiny", "seed": 1}
BEFORE_S = 1.0
"""Of an attempt in these tests."""


def hook_of(queue: JobQueue, job_id: str) -> Any:
    return queue.get(job_id).webhook


def hasten(queue: JobQueue, job_id: str) -> None:
    """As if the time of its next attempt, or the end of a lost one's lease, had come."""
    names = scripts(queue)
    queue.redis.zrem(names.key("webhooks", "sending"), job_id)
    queue.redis.zadd(names.key("webhooks"), {job_id: 1}, xx=True)


def ended_job(url: str, webhook: str) -> str:
    """One that is canceled as soon as it is there."""
    answer = httpx.post(f"{url}/generate", json={**BODY, "webhook": webhook}, timeout=60)
    assert answer.status_code == 202, answer.text
    httpx.delete(url + answer.headers["location"], timeout=60)
    return str(answer.json()["id"])


@pytest.fixture
def near(settings: Settings, own_valkey: ValkeyProcess, models: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a server of its own; front ends that are processes may send to this machine."""
    monkeypatch.setenv("VOXELSMITH_WEBHOOK_HTTP", "true")
    monkeypatch.setenv("VOXELSMITH_WEBHOOK_NETWORKS", LOCAL)
    changes = {"redis_url": Settings(redis_url=own_valkey.url).redis_url, "models_url": str(models)}  # type: ignore[arg-type]
    return settings.model_copy(update=changes)


def test_a_sender_killed_between_post_and_acknowledgement_sends_twice_and_loses_nothing(near: Settings) -> None:
    with connect(near) as redis, receiving() as receiver:
        queue = JobQueue(redis, near)
        with front_end(near) as (pid, url):
            receiver.before = lambda: os.kill(pid, signal.SIGKILL)
            job_id = ended_job(url, receiver.url)
            until(lambda: len(receiver.got) == 1)
        assert hook_of(queue, job_id).state == "pending"
        receiver.before = lambda: None
        with front_end(near):
            time.sleep(1.0)
            assert len(receiver.got) == 1, "it is another's until its lease is over"
            hasten(queue, job_id)
            until(lambda: hook_of(queue, job_id).state == "delivered")
        assert hook_of(queue, job_id).attempts == 2
        first, second = receiver.got
        assert (first.body, first.fields["webhook-id"]) == (second.body, second.fields["webhook-id"])


def test_a_receiver_that_is_down_hears_of_it_later_whoever_was_killed_meanwhile(
    near: Settings, own_valkey: ValkeyProcess
) -> None:
    port = free_port()
    with connect(near) as redis:
        queue = JobQueue(redis, near)
        with front_end(near) as (pid, url):
            job_id = ended_job(url, f"http://127.0.0.1:{port}/")
            until(lambda: hook_of(queue, job_id).last_problem == "unreachable")
            os.kill(pid, signal.SIGKILL)
        own_valkey.kill()
        own_valkey.start()
        assert (hook_of(queue, job_id).state, hook_of(queue, job_id).attempts) == ("pending", 1)
        with receiving(port=port) as receiver, front_end(near):
            hasten(queue, job_id)
            until(lambda: hook_of(queue, job_id).state == "delivered")
            assert len(receiver.got) == 1


def test_slow_receivers_hold_up_nobody_elses_webhooks(near: Settings) -> None:
    """Each holds its attempts for as long as one may take; of one receiver few are under way at once."""
    held: list[socket.socket] = []

    def hold(connection: socket.socket) -> None:
        held.append(connection)
        while connection.recv(2**16):
            time.sleep(0.01)

    local = {"webhook_http": True, "webhook_networks": LOCAL, "port": 0, "lease_s": LEASE_S}
    with serving(near.model_copy(update=local)) as api, odd_receiver(hold) as slow, receiving() as good:
        url = str(api.http.base_url)
        jobs = [ended_job(url, f"http://127.0.0.1:{slow}/") for _ in range(2 * OF_ONE_RECEIVER)]
        until(lambda: len(held) == OF_ONE_RECEIVER)
        quick = ended_job(url, good.url)
        until(lambda: hook_of(api.queue, quick).state == "delivered")
        assert len(held) == OF_ONE_RECEIVER
        assert {hook_of(api.queue, job_id).last_problem for job_id in jobs} == {None}, "it waited for none of them"
        until(lambda: hook_of(api.queue, jobs[0]).last_problem == "timeout")
        until(lambda: len(held) > OF_ONE_RECEIVER)


# -- what a receiver may do to one attempt


def courier(*networks: str) -> Courier:
    return Courier(AddressRule([ip_network(network) for network in networks]), BEFORE_S)


def problem_at(receiver: Receiver, *networks: str) -> Problem:
    """Of an attempt, which must not take longer than it may."""
    began = time.monotonic()
    with pytest.raises(DeliveryError) as failed:
        courier(*networks).post(receiver, {}, b"{}")
    assert time.monotonic() - began < BEFORE_S + 0.7
    return failed.value.problem


def drip(connection: socket.socket) -> None:
    """A status line that never ends."""
    connection.recv(2**16)
    while True:
        connection.send(b"H")
        time.sleep(0.05)


def drip_notices(connection: socket.socket) -> None:
    while True:
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    while True:
        connection.send(b"HTTP/1.1 100 " + b"x" * MAX_READ)


def silence(connection: socket.socket) -> None:
    time.sleep(BEFORE_S + 1)


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(answer)

    return say


@pytest.mark.parametrize(
    ("act", "scheme", "problem"),
    [
        (drip, "http", Problem.TIMEOUT),
        (drip_notices, "http", Problem.TIMEOUT),
        (silence, "http", Problem.TIMEOUT),
        (silence, "https", Problem.TIMEOUT),
        (flood, "http", Problem.NOT_HTTP),
        (saying(b"SSH-2.0-OpenSSH\r\n"), "http", Problem.NOT_HTTP),
        (saying(b"HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "http", Problem.NOT_HTTP),
        (saying(b""), "http", Problem.UNREACHABLE),
        (saying(b"HTTP/1.1 200 OK\r\n\r\n"), "https", Problem.TLS_FAILED),
    ],
)
def test_a_receiver_that_drips_floods_or_is_silent_costs_one_attempts_time_at_most(
    act: Callable[[socket.socket], None], scheme: str, problem: Problem
) -> None:
    with odd_receiver(act) as port:
        assert problem_at(receiver_of(f"{scheme}://127.0.0.1:{port}/"), LOCAL) is problem


def test_an_answer_counts_by_its_status_whatever_follows_it() -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n")
        while True:
            connection.send(b"x: y\r\n" * 1000)

    with odd_receiver(endless) as port:
        began = time.monotonic()
        assert courier(LOCAL).post(receiver_of(f"http://127.0.0.1:{port}/"), {}, b"{}") == 202
        assert time.monotonic() - began < BEFORE_S


def test_a_certificate_must_be_the_receivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "redis.crt", tmp_path / "redis.key")

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(2**16)
            secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with odd_receiver(answer) as port:
        assert problem_at(receiver_of(f"https://127.0.0.1:{port}/"), LOCAL) is Problem.TLS_FAILED
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "redis.crt"))
        assert courier(LOCAL).post(receiver_of(f"https://127.0.0.1:{port}/"), {}, b"{}") == 204
        assert problem_at(receiver_of(f"https://localhost:{port}/"), LOCAL, "::1/128") is Problem.TLS_FAILED


# -- where a name may lead


class Names:
    """A resolver whose answers a test chooses: each look-up takes the next list of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, _host: str, port: int, **_: object) -> list[Any]:
        self.asked += 1
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.answers[0]]
        rows = zip(kinds, self.answers.pop(0), strict=True)
        return [(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for kind, address in rows]


@pytest.mark.parametrize(
    "addresses",
    [
        *(["169.254.169.254"], ["10.0.0.1"], ["::ffff:169.254.169.254"], ["::1"], ["fe80::1"], ["64:ff9b::a9fe:a9fe"]),
        *(["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "fd00::1"], ["100.100.100.200"], ["0.0.0.0"]),
    ],
)
def test_a_name_that_leads_to_a_private_address_among_others_is_not_sent_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(addresses))
    assert problem_at(receiver_of("https://receiver.example/")) is Problem.ADDRESS_REFUSED


def test_a_name_that_changes_is_connected_to_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"], [])
    with receiving() as allowed, receiving(port=allowed.port, host="127.0.0.2") as private:
        monkeypatch.setattr(socket, "getaddrinfo", names)
        receiver = receiver_of(f"http://receiver.example:{allowed.port}/")
        assert courier("127.0.0.1/32").post(receiver, {}, b"{}") == 204
        assert (names.asked, len(allowed.got)) == (1, 1)
        assert allowed.got[0].fields["host"] == f"receiver.example:{allowed.port}"
        assert problem_at(receiver, "127.0.0.1/32") is Problem.ADDRESS_REFUSED
        assert (len(allowed.got), private.got) == (1, [])


def test_an_address_that_is_silent_leaves_time_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.2", receiver.port))
        silent.listen(0)
        for _ in range(3):  # more than it keeps for a listener that takes none
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", receiver.port))
        monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]))
        there = receiver_of(f"http://receiver.example:{receiver.port}/")
        assert courier(LOCAL).post(there, {}, b"{}") == 204
        assert problem_at(there, LOCAL) is Problem.TIMEOUT


def test_a_redirect_to_a_private_address_is_not_followed(near: Settings) -> None:
    local = {"webhook_http": True, "webhook_networks": "127.0.0.1/32", "port": 0, "lease_s": LEASE_S}
    with serving(near.model_copy(update=local)) as api, receiving(host="127.0.0.2") as private:
        with receiving(307, Location=private.url) as receiver:
            job_id = ended_job(str(api.http.base_url), receiver.url)
            hook = eventually(lambda: (hook := hook_of(api.queue, job_id)).last_status and hook)
            assert (hook.last_status, hook.state) == (307, "pending")
        refused = ended_job(str(api.http.base_url), f"http://localhost:{private.port}/")
        hook = eventually(lambda: (hook := hook_of(api.queue, refused)).last_problem and hook)
        assert hook.state in ("given_up", "pending")
    assert private.got == []
