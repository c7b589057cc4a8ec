"""The scripts of the job record: each write to it is one Lua script, safe to repeat, over the keys of one prefix."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from contract.errors import LeaseLost, QueueUnavailable
from jobs.counts import bounds_in_lua
from jobs.settings import Settings

_NAMES = (
    *("submit", "confirm", "claim", "renew", "progress", "reserve", "keep", "hand_back", "finish"),
    "choose",
    *("withdraw", "cancel", "remove", "reap", "redeliver_missing", "expire", "beat"),
    *("webhooks_take", "webhooks_settle"),
)


@contextmanager
def answering() -> Iterator[None]:
    """Turns every failure of the Redis client into QueueUnavailable."""
    try:
        yield
    except RedisError as err:
        raise QueueUnavailable("The queue does not answer; try again shortly.") from err


class Scripts:
    """What the three sides of the record stand on. Times come from the server's clock alone."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.settings = settings
        self.prefix = settings.queue_prefix
        self.life_us = int(settings.result_ttl_s * 1e6)
        self.lease_us = int(settings.lease_s * 1e6)
        folder = files("jobs") / "scripts"
        prelude = bounds_in_lua() + (folder / "prelude.lua").read_text()
        self._scripts = {name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in _NAMES}

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def call(self, script: str, *args: str | int, client: Any = None) -> Any:
        """Runs a script. Raises: QueueUnavailable."""
        with answering():
            return self._scripts[script](keys=[self.prefix], args=list(args), client=client)

    def call_held(self, script: str, *args: str | int) -> bool:
        """Runs a script for the holder of a lease; true where the user wants the job stopped. Raises: LeaseLost."""
        return is_stopped(self.call(script, *args))


def is_stopped(answer: bytes) -> bool:
    """What a script answers the holder of a lease. Raises: LeaseLost."""
    if answer == b"lost":
        raise LeaseLost
    return answer == b"cancel"
