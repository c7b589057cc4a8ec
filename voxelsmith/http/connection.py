"""One server behind one interface of coroutines: over an event loop, or for one caller who waits.

`BlockingConnection` never suspends: its coroutines are over when they are asked to begin, so that `at_once` runs them
without an event loop (docs/decisions/0056-one-client-awaited-or-not.md).
"""

import ipaddress
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpx2 as httpx

from contract.version import software_version
from voxelsmith.problems import BadAddress, BadKey

T = TypeVar("T")
_SENDABLE = re.compile(r"[!-~]+")
"""What a header takes as it is."""
_RETRIES = 2
"""Of the connection only: nothing was sent yet."""


class Streamed(NamedTuple):
    """An answer whose body comes bit by bit; of an error it is there already."""

    response: httpx.Response
    lines: AsyncIterator[str]
    blocks: AsyncIterator[bytes]


class Connection(Protocol):
    """What a client needs of the world. All raise what httpx raises."""

    @property
    def base_url(self) -> httpx.URL: ...
    async def send(self, method: str, path: str, **options: Any) -> httpx.Response: ...
    def stream(self, path: str, headers: Mapping[str, str] | None) -> AbstractAsyncContextManager[Streamed]: ...
    async def pause(self, seconds: float) -> None: ...
    async def aside(self, work: Callable[[], T]) -> T:
        """The result of work that blocks, such as reading a disk."""

    async def close(self) -> None: ...


class BlockingConnection:
    """For `Client`: every coroutine does its work when it is begun, and never suspends."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    @property
    def base_url(self) -> httpx.URL:
        return self.http.base_url

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(method, path, **options)

    @asynccontextmanager
    async def stream(self, path: str, headers: Mapping[str, str] | None) -> AsyncIterator[Streamed]:
        with self.http.stream("GET", path, headers=headers) as response:
            if response.is_error:
                response.read()
            yield Streamed(response, _one_by_one(response.iter_lines()), _one_by_one(response.iter_bytes()))

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        self.http.close()


class AsyncConnection:
    """For `AsyncClient`: under asyncio or trio, and no other task waits for a disk."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @property
    def base_url(self) -> httpx.URL:
        return self.http.base_url

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, path, **options)

    @asynccontextmanager
    async def stream(self, path: str, headers: Mapping[str, str] | None) -> AsyncIterator[Streamed]:
        async with self.http.stream("GET", path, headers=headers) as response:
            if response.is_error:
                await response.aread()
            yield Streamed(response, response.aiter_lines(), response.aiter_bytes())

    async def pause(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        # Shielded, so that what is left after a cancellation, such as a temporary file, is left whole.
        with anyio.CancelScope(shield=True):
            result = await anyio.to_thread.run_sync(work)
        return result  # noqa: RET504 -- to mypy, a scope may swallow what is raised in it

    async def close(self) -> None:
        await self.http.aclose()


class Entered(Generic[T]):
    """A block's context manager that blocks, such as one of a file, entered and left aside."""

    def __init__(self, connection: Connection, manager: AbstractContextManager[T]) -> None:
        self._aside, self._manager = connection.aside, manager

    async def __aenter__(self) -> T:
        return await self._aside(self._manager.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._aside(partial(self._manager.__exit__, kind, err, trace))


def connect(url: str, api_key: str | None, timeout_s: float) -> BlockingConnection:
    """Raises: BadAddress, BadKey."""
    return BlockingConnection(_opened(url, api_key, timeout_s, httpx.Client, httpx.HTTPTransport))


def connect_async(url: str, api_key: str | None, timeout_s: float) -> AsyncConnection:
    """Raises: BadAddress, BadKey."""
    return AsyncConnection(_opened(url, api_key, timeout_s, httpx.AsyncClient, httpx.AsyncHTTPTransport))


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _opened(
    url: str, api_key: str | None, timeout_s: float, make: Callable[..., T], transport: Callable[..., Any]
) -> T:
    """httpx's client, with its own retries where no proxy is asked. Raises: BadAddress, BadKey."""
    if api_key and not _SENDABLE.fullmatch(api_key):
        raise BadKey("the API key holds a character that no key has")
    try:
        base_url = httpx.URL(url)
    except httpx.InvalidURL as err:
        raise BadAddress("the server's address is not a URL such as http://127.0.0.1:8000") from err
    headers = {"User-Agent": f"voxelsmith/{software_version()}"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    options: dict[str, Any] = {"headers": headers, "timeout": timeout_s, "follow_redirects": True}
    try:
        direct = dict.fromkeys(_direct_routes(base_url.host), transport(retries=_RETRIES))
    except OSError as err:
        raise BadAddress("the file of certificates that SSL_CERT_FILE names cannot be read") from err
    try:
        return make(base_url=base_url, mounts=direct, **options)
    except (ImportError, ValueError, httpx.InvalidURL) as err:
        if not is_loopback(base_url.host):
            raise BadAddress("the proxy that the environment names is none that can be used here") from err
        return make(base_url=base_url, trust_env=False, **options)


def _direct_routes(host: str) -> list[str]:
    """Where httpx is to ask no proxy: this machine, and everything where the environment names none for everything."""
    routes = ["all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]"]
    if is_loopback(host):
        routes.append(f"all://[{host}]" if ":" in host else f"all://{host}")
    if not urllib.request.getproxies().get("all"):
        routes.append("all://")
    return routes


async def _one_by_one(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
