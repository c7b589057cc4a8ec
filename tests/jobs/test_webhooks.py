"""Telling jobs' ends: what is tried again, given up or ended with its job. The sender is a thread of the test."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from contract.errors import QuotaExceeded
from contract.state import WebhookState
from jobs.keys import ApiKeys, Scope
from jobs.queue import JobQueue
from jobs.quota import Charge
from jobs.settings import Settings
from jobs.submission import Submission
from jobs.webhooks.sender import Sender
from jobs.webhooks.signing import signed
from tests.support.processes import eventually
from tests.support.receivers import receiving
from tests.support.sides import scripts, upkeep

EXAMPLE = b'{"test": 2432232314}'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Webhooks may go to this machine, and of one key there are two at most."""
    return settings.model_copy(update={"webhook_networks": "127.0.0.0/8", "key_max_webhooks": 2})


@pytest.fixture(autouse=True)
def sender(queue: JobQueue, settings: Settings) -> Iterator[Sender]:
    thread = Sender(queue.redis, settings, period_s=0.02)
    thread.start()
    yield thread
    thread.stop()


def submitted(queue: JobQueue, url: str, owner: str = "") -> str:
    request = {"model": "tiny"}
    job = Submission("generate", "tiny", "a" * 64, request, request, "d" * 64, webhook=url)
    return queue.submit(replace(job, charge=Charge(owner=owner))).id


def ended(queue: JobQueue, url: str, owner: str = "") -> str:
    job_id = submitted(queue, url, owner)
    queue.cancel(job_id)
    return job_id


def hook_of(queue: JobQueue, job_id: str) -> WebhookState:
    hook = queue.get(job_id).webhook
    assert hook is not None
    return hook


def answered(queue: JobQueue, job_id: str, status: int) -> WebhookState:
    """The state of a webhook once an attempt was answered so."""
    eventually(lambda: hook_of(queue, job_id).last_status == status)
    return hook_of(queue, job_id)


def comes_to(queue: JobQueue, job_id: str, state: str) -> WebhookState:
    eventually(lambda: hook_of(queue, job_id).state == state)
    return hook_of(queue, job_id)


def hasten(queue: JobQueue, job_id: str) -> None:
    """As if the time of its next attempt had come."""
    queue.redis.zadd(scripts(queue).key("webhooks"), {job_id: 1}, xx=True)


def left(queue: JobQueue) -> int:
    key = scripts(queue).key
    return int(queue.redis.zcard(key("webhooks")) + queue.redis.zcard(key("webhooks", "sending")))  # type: ignore[operator]


def test_what_fails_is_tried_again_with_the_same_id_and_body(queue: JobQueue) -> None:
    with receiving(503, 302, 404, Location="http://127.0.0.1:1/") as receiver:
        job_id = ended(queue, receiver.url)
        for attempts, status in enumerate((503, 302, 404), 1):
            hook, record = answered(queue, job_id, status), queue.get(job_id)
            assert (hook.state, hook.attempts) == ("pending", attempts)
            assert hook.next_try_at is not None
            assert record.ended_at is not None
            assert 4 < (hook.next_try_at - record.ended_at).total_seconds() < 400
            hasten(queue, job_id)
        assert comes_to(queue, job_id, "delivered").attempts == 4
    assert len({(got.fields["webhook-id"], got.body) for got in receiver.got}) == 1
    assert left(queue) == 0


def test_a_webhook_is_given_up_where_its_receiver_is_gone_or_after_the_last_attempt(queue: JobQueue) -> None:
    with receiving(410) as receiver:
        assert comes_to(queue, ended(queue, receiver.url), "given_up").attempts == 1
    last = submitted(queue, receiver.url)
    queue.redis.hset(scripts(queue).key("job", last), "hook_attempts", 7)
    queue.cancel(last)
    hook = comes_to(queue, last, "given_up")
    assert (hook.attempts, hook.last_problem, hook.next_try_at) == (8, "unreachable", None)
    private = comes_to(queue, ended(queue, "http://10.0.0.1/"), "given_up")
    assert (private.attempts, private.last_problem) == (1, "address_refused")
    assert left(queue) == 0


def test_a_removed_or_expired_job_tells_nothing_more(queue: JobQueue) -> None:
    with receiving(500, 500) as receiver:
        removed, expired = ended(queue, receiver.url), ended(queue, receiver.url)
        for job_id in (removed, expired):
            answered(queue, job_id, 500)
        queue.remove(removed)
        queue.redis.zadd(scripts(queue).key("expiring"), {expired: 1})
        upkeep(queue).reap()
    assert left(queue) == 0


def test_the_end_that_an_older_version_wrote_is_found_and_told(queue: JobQueue) -> None:
    with receiving() as receiver:
        job_id = submitted(queue, receiver.url)
        hasten(queue, job_id)
        eventually(lambda: (queue.redis.zscore(scripts(queue).key("webhooks"), job_id) or 0) > 1)
        assert (hook_of(queue, job_id).state, hook_of(queue, job_id).attempts) == ("waiting", 0)
        queue.redis.hset(scripts(queue).key("job", job_id), "state", "canceled")
        hasten(queue, job_id)
        comes_to(queue, job_id, "delivered")


def test_a_key_has_so_many_and_a_revoked_one_none(queue: JobQueue, settings: Settings) -> None:
    keys = ApiKeys(queue.redis, settings)
    key, _ = keys.create("a", {Scope.JOBS, Scope.WEBHOOKS})
    with receiving() as receiver:
        first, second = (submitted(queue, receiver.url, key.id) for _ in range(2))
        with pytest.raises(QuotaExceeded):
            submitted(queue, receiver.url, key.id)
        queue.cancel(first)
        comes_to(queue, first, "delivered")
        third = submitted(queue, receiver.url, key.id)
        keys.revoke(key.id)
        for job_id in (second, third):
            queue.cancel(job_id)
            hook = comes_to(queue, job_id, "given_up")
            assert (hook.attempts, hook.last_problem) == (0, "key_revoked")
        assert len(receiver.got) == 1
    assert not queue.redis.exists(scripts(queue).key("notifying", key.id))


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """The example that its libraries are tested with."""
    fields = signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, EXAMPLE)
    assert fields["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
