"""Answers of a server, and what is made of those that are none: one exception per HTTP code."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx

from contract.version import VERSION_FIELD, software_version
from voxelsmith.http.connection import Connection, Streamed
from voxelsmith.http.versions import may_tell, who_is_old
from voxelsmith.problems import ServerUnreachable, UnreadableAnswer, problem_of

_UNANSWERED = (httpx.RequestError, httpx.InvalidURL, UnicodeError)
"""The second of a redirect's address, the third of a host's name."""


class Answers:
    """What every call begins and ends with."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._server_version: str | None = None

    @property
    def server_version(self) -> str | None:
        """As the last answer told it."""
        return self._server_version

    async def close(self) -> None:
        await self.connection.close()

    async def _record(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._read(await self._send(method, path, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self.connection.send(method, path, **options)
        except _UNANSWERED as err:
            raise self._unreachable(err) from err
        self._check(response)
        return response

    @asynccontextmanager
    async def _stream(self, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Streamed]:
        try:
            async with self.connection.stream(path, headers) as streamed:
                self._check(streamed.response)
                yield streamed
        except _UNANSWERED as err:
            raise self._unreachable(err) from err

    def _unreachable(self, err: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"no answer from {self.connection.base_url}: {err or type(err).__name__}")

    def _check(self, response: httpx.Response) -> None:
        """Raises: the class of voxelsmith.problems for the code of an error answer."""
        self._server_version = response.headers.get(VERSION_FIELD)
        if not response.is_error:
            return
        try:
            body = response.json()
        except ValueError:  # a proxy's own page
            body = None
        raise problem_of(response.status_code, body, self._who_is_old() if may_tell(response.status_code) else None)

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object of an answer. Raises: UnreadableAnswer."""
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self._unreadable()
        return body

    def _items(self, page: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Raises: UnreadableAnswer."""
        items = page.get("items")
        if not isinstance(items, list):
            raise self._unreadable()
        return items

    def _unreadable(self) -> UnreadableAnswer:
        return UnreadableAnswer(self._who_is_old())

    def _who_is_old(self) -> str | None:
        return who_is_old(software_version(), self._server_version)
