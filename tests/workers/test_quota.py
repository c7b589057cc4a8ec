"""A job of a key whose bytes run out while a real worker writes its results."""

from collections.abc import Callable
from pathlib import Path

from contract.state import JobState
from jobs.queue import JobQueue
from jobs.quota import Charge
from jobs.submission import Submission


def test_a_job_over_its_keys_bytes_fails_keeps_what_it_has_and_makes_room_when_removed(
    queue: JobQueue, play: Callable[..., object]
) -> None:
    name = "0" * 12
    size = len(f"bytes of {name}")
    acts = {"acts": [f"keep:{letter}{name[1:]}" for letter in "abc"]}

    def submit() -> str:
        return queue.submit(Submission("generate", "tiny", "a" * 64, {}, acts, "d" * 64, charge=Charge("alice"))).id

    with play(key_max_bytes=2 * size + 1, lease_s=5.0):  # type: ignore[attr-defined]
        first = queue.wait(submit(), 30)
        assert (first.state, first.error and first.error.code) == (JobState.FAILED, "quota_exceeded")
        assert [entry.name[0] for entry in first.results] == ["a", "b"]
        assert len(queue.results.list("results")) == 2
        assert queue.stored_bytes("alice") == 2 * size
        second = queue.wait(submit(), 30)
        assert (second.state, second.results) == (JobState.FAILED, [])
        queue.remove(first.id)
        assert queue.stored_bytes("alice") == 0
        assert not list(Path(queue.settings.store_url.removeprefix("file://")).rglob(".tmp/*"))
        nobody = queue.submit(Submission("generate", "tiny", "a" * 64, {}, acts, "d" * 64)).id
        assert queue.wait(nobody, 30).state is JobState.SUCCEEDED
