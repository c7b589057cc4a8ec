"""API keys: made once, stored as a hash, looked up at every request, revoked for good.

A key is `vxs_<id>_<secret>`: the id is public and names the key in lists; the secret has 256 random bits. Redis keeps
the SHA-256 of the whole key and never the key. A slow password hash would add nothing: it makes guessing dear where
people choose the secret, and nobody guesses 256 random bits at any speed (docs/decisions/0023).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, cast

from redis import Redis

from contract.errors import InvalidKey, QueueUnavailable, UnknownKey
from jobs.connection import is_in_log
from jobs.quota import NOBODY
from jobs.scripts import answering
from jobs.settings import Settings


class Scope(StrEnum):
    """What a key may do. Every key may look at the models."""

    JOBS = "jobs"
    """Post jobs, and see and remove its own; fit directions."""
    ADMIN = "admin"
    """Remove fitted directions, which all keys share; read the metrics."""
    WEBHOOKS = "webhooks"
    """Name an address that is told when a job ends, beside jobs."""


_TOKEN = re.compile(r"vxs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_LOG_TIMEOUT_MS = 4000


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key. `id` owns the jobs that are posted with it."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


ANYBODY = ApiKey(NOBODY, "", frozenset(Scope), datetime.fromtimestamp(0, tz=UTC))
"""Who calls a service that has no keys and answers to its own machine alone."""


class ApiKeys:
    """The keys of one queue. Times are the server's. Every method raises QueueUnavailable."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis, self._settings = redis, settings

    def create(self, name: str, scopes: Collection[Scope], life_s: float | None = None) -> tuple[ApiKey, str]:
        """A new key and its text, which is told this once. On disk when this returns."""
        key_id = secrets.token_hex(6)
        token = f"vxs_{key_id}_{secrets.token_urlsafe(32)}"
        now_us = self._now_us()
        fields = {"name": name, "scopes": " ".join(sorted(scopes)), "digest": _digest(token), "created": now_us}
        if life_s is not None:
            fields["expires"] = now_us + int(life_s * 1e6)
        self._write(key_id, fields)
        return self.get(key_id), token

    def list(self) -> list[ApiKey]:
        """All keys ever made, oldest first, revoked and expired ones among them."""
        with answering():
            ids = cast("Any", self._redis.zrange(self._index, 0, -1))
        return [self.get(key_id.decode()) for key_id in ids]

    def get(self, key_id: str) -> ApiKey:
        """Raises: UnknownKey."""
        with answering():
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._key(key_id)))
        if not fields:
            raise UnknownKey("There is no API key of that id.")
        return _read(key_id, fields)

    def revoke(self, key_id: str) -> ApiKey:
        """Shuts a key out from its next request on; its jobs stay until they expire. Raises: UnknownKey."""
        if self.get(key_id).revoked_at is None:
            self._write(key_id, {"revoked": self._now_us()})
        return self.get(key_id)

    def exist(self) -> bool:
        """Whether a key was ever made. A revoked one counts: revoking the last key must not open the service."""
        with answering():
            return bool(self._redis.exists(self._index))

    def any_active(self) -> bool:
        """Whether somebody can use the service."""
        now = datetime.fromtimestamp(self._now_us() / 1e6, tz=UTC)
        return any(key.state(now) == "active" for key in self.list())

    def authenticate(self, token: str) -> ApiKey:
        """The key of a text that a client sent. Raises: InvalidKey, alike for every reason."""
        refused = InvalidKey("The API key is unknown, revoked or expired.")
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise refused
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(self._key(match[1]))
            pipe.time()
            fields, (seconds, micros) = pipe.execute()
        if not hmac.compare_digest(fields.get(b"digest", b"").decode(), _digest(token)):
            raise refused
        key = _read(match[1], fields)
        if key.state(datetime.fromtimestamp(seconds + micros / 1e6, tz=UTC)) != "active":
            raise refused
        return key

    def _write(self, key_id: str, fields: dict[str, Any]) -> None:
        """Returns once the fields are in the append-only file on disk."""
        pipe: Any = self._redis.pipeline(transaction=False)
        pipe.hset(self._key(key_id), mapping=fields)
        if "created" in fields:
            pipe.zadd(self._index, {key_id: fields["created"]})
        pipe.execute_command("WAITAOF", 1, 0, _LOG_TIMEOUT_MS)
        with answering():
            *written, logged = pipe.execute(raise_on_error=False)
        failed = any(isinstance(answer, Exception) for answer in written)
        if failed or not is_in_log(logged, self._redis, self._settings):
            raise QueueUnavailable("The queue could not store the key; try again shortly.")

    def _now_us(self) -> int:
        with answering():
            seconds, micros = self._redis.time()
        return seconds * 1_000_000 + micros

    @property
    def _index(self) -> str:
        return f"{self._settings.queue_prefix}:keys"

    def _key(self, key_id: str) -> str:
        return f"{self._settings.queue_prefix}:key:{key_id}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(key_id: str, fields: dict[bytes, bytes]) -> ApiKey:
    times = {
        f"{name}_at": datetime.fromtimestamp(int(fields[name.encode()]) / 1e6, tz=UTC)
        for name in ("created", "expires", "revoked")
        if name.encode() in fields
    }
    scopes = frozenset(Scope(name) for name in fields[b"scopes"].decode().split())
    return ApiKey(key_id, fields[b"name"].decode(), scopes, **times)
