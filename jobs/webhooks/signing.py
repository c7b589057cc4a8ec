"""The signature of a webhook, as Standard Webhooks has it (https://www.standardwebhooks.com), and the secret for it.

A key has one secret, and so has a service without keys. The server must hold it as it is: who signs needs the secret
itself, and no hash of it would do.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Any, cast

from redis import Redis

from contract.errors import QueueUnavailable
from jobs.connection import is_in_log
from jobs.scripts import answering
from jobs.settings import Settings

_PREFIX = "whsec_"
_LOG_TIMEOUT_MS = 4000


def new_secret() -> str:
    """256 random bits, as receivers' libraries take them."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three header fields that say who sent a body, and when."""
    content = f"{message_id}.{at_s}.".encode() + body
    digest = hmac.new(base64.b64decode(secret.removeprefix(_PREFIX)), content, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}


class Secrets:
    """The secrets of one queue, by owner. Every method raises QueueUnavailable, and returns what is on disk."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis, self._settings = redis, settings
        self._name = f"{settings.queue_prefix}:webhook-secrets"

    def of(self, owner: str) -> str:
        """An owner's secret; the first call makes it, unless the first webhook did."""
        return self._write("hsetnx", owner)

    def renew(self, owner: str) -> str:
        """Another secret in the place of the one that there was: what is sent from now on is signed with it."""
        return self._write("hset", owner)

    def _write(self, command: str, owner: str) -> str:
        pipe: Any = self._redis.pipeline(transaction=False)
        getattr(pipe, command)(self._name, owner, new_secret())
        pipe.hget(self._name, owner)
        pipe.execute_command("WAITAOF", 1, 0, _LOG_TIMEOUT_MS)
        with answering():
            written, secret, logged = pipe.execute(raise_on_error=False)
        if isinstance(written, Exception) or isinstance(secret, Exception):
            raise QueueUnavailable("The queue could not store the secret; try again shortly.")
        if not is_in_log(logged, self._redis, self._settings):
            raise QueueUnavailable("The queue could not store the secret; try again shortly.")
        return cast("bytes", secret).decode()
