"""The connection to Redis, and what its server must be like before jobs are trusted to it."""

import logging
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

from contract.errors import QueueUnavailable
from jobs.scripts import answering
from jobs.settings import Settings

SOCKET_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 1024
"""Never reached: a thread takes one at a time. The client's own limit, 100, is below the threads of a front end."""
log = logging.getLogger("voxelsmith.queue")


def connect(settings: Settings, *, retries: int = 3, timeout_s: float = SOCKET_TIMEOUT_S) -> Redis:
    """A client that gives up within seconds. Connects on first use.

    What a broken connection interrupted is asked again, what a silent server has not answered is not: the callers'
    patience would be multiplied, and their threads with it.
    """
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=timeout_s,
        socket_connect_timeout=min(2.0, timeout_s),
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries, supported_errors=(BrokenConnection,)),
        health_check_interval=15,
        max_connections=MAX_CONNECTIONS,
    )


def is_durable(redis: Redis) -> bool:
    """Whether the server keeps an append-only file and its last write to it worked."""
    with answering():
        info = redis.info("persistence")
    return bool(info["aof_enabled"] == 1 and info["aof_last_write_status"] == "ok")


def is_synced_at_every_write(redis: Redis) -> bool:
    """Whether a power cut takes no accepted job with it. A server that does not let itself be asked is believed."""
    found: Any = {}
    with answering(), suppress(ResponseError):
        found = redis.config_get("appendfsync")
    return bool(found.get("appendfsync", "always") == "always")


def is_in_log(answer: Any, redis: Redis, settings: Settings) -> bool:
    """Whether the answer to a WAITAOF says that the writes before it on its connection are in the log on disk.

    Redis before 7.2 does not know the question; where it syncs its log at every write, it has before it answers any.
    """
    if not isinstance(answer, Exception):
        return bool(answer[0])
    if "WAITAOF" not in str(answer):
        return False
    return settings.ephemeral or ("unknown command" in str(answer) and _is_seen_to_sync(redis))


def _is_seen_to_sync(redis: Redis) -> bool:
    try:
        with answering():
            return bool(redis.config_get("appendfsync").get("appendfsync") == "always" and is_durable(redis))
    except QueueUnavailable:
        return False


def _knows_waitaof(redis: Redis) -> bool:
    with answering():
        major, minor = str(redis.info("server")["redis_version"]).split(".")[:2]
    return (int(major), int(minor)) >= (7, 2)


def check_server(redis: Redis, settings: Settings) -> None:
    """Refuses a server that may lose or drop jobs, warns of one that a power cut may cost its last second.

    Raises: QueueUnavailable with the setting to change.
    """
    with answering():
        policy = redis.info("memory")["maxmemory_policy"]
    if policy != "noeviction":
        raise QueueUnavailable("The queue's server may evict jobs: set its maxmemory-policy to noeviction.")
    if not settings.ephemeral and not is_durable(redis):
        raise QueueUnavailable(
            "The queue's server keeps no append-only file: set its appendonly to yes, or accept lost jobs "
            "with VOXELSMITH_EPHEMERAL=true."
        )
    if not settings.ephemeral and not _knows_waitaof(redis) and not _is_seen_to_sync(redis):
        raise QueueUnavailable(
            "The queue's server is older than Redis 7.2 and cannot tell when a job is on disk: set its appendfsync to "
            "always, which the service must be allowed to see (CONFIG GET)."
        )
    if not settings.ephemeral and not is_synced_at_every_write(redis):
        log.warning(
            "the queue's server does not sync its log at every write: a power cut may lose jobs accepted in the second "
            "before it; set its appendfsync to always"
        )
