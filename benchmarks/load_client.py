"""Clients of a service under load: each makes a job, follows it, fetches its volume, removes it, and begins again."""

import asyncio
import hashlib
import itertools
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx

POLL_S = 0.5
REQUEST_S = 120.0
"""A request without an answer for so long is an error."""
LISTENING = 2
"""Every so manieth client follows its jobs by events, the others ask again and again."""
FINAL = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass
class Told:
    """What the clients have seen."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each kind of step."""
    errors: Counter[str] = field(default_factory=Counter)
    """By what went wrong; a full queue or a full house says when to come back, and is no error."""
    sent_back: int = 0
    jobs: int = 0
    downloaded_bytes: int = 0


class Mishap(Exception):  # noqa: N818 -- an outcome, counted
    """The message is what it is counted under."""


async def drive(url: str, model: str, clients: int, seconds: float | None, jobs: int | None) -> Told:
    """Runs that many clients until the time is over or that many jobs are done."""
    told = Told()
    ends = time.monotonic() + seconds if seconds is not None else None
    numbers = itertools.count()

    def goes_on() -> bool:
        if ends is not None:
            return time.monotonic() < ends
        return jobs is not None and next(numbers) < jobs

    context = ssl.create_default_context()  # made once: each would read the certificates of the system
    async with AsyncExitStack() as stack:
        # A pool each, as of so many programs: one pool looks through all of its connections at every request.
        own = [httpx.AsyncClient(base_url=url, timeout=REQUEST_S, verify=context) for _ in range(clients)]
        lives = [Life(await stack.enter_async_context(http), told, model, index) for index, http in enumerate(own)]
        await asyncio.gather(*(_repeat(life, goes_on) for life in lives))
    return told


async def _repeat(life: "Life", goes_on: Callable[[], bool]) -> None:
    while goes_on():
        try:
            await life.once()
        except Mishap as mishap:
            life.told.errors[str(mishap)] += 1
        except httpx.HTTPError as err:
            life.told.errors[type(err).__name__] += 1


class Life:
    """One client."""

    def __init__(self, http: httpx.AsyncClient, told: Told, model: str, index: int) -> None:
        self.http, self.told, self._model, self._index = http, told, model, index
        self._seeds = itertools.count(1000 * index)

    async def once(self) -> None:
        """A job from its post to its removal. Raises: Mishap, httpx.HTTPError."""
        began = time.monotonic()
        job_id = await self._post()
        record = await (self._listen(job_id) if self._index % LISTENING else self._poll(job_id))
        if record["state"] != "succeeded":
            raise Mishap(f"job {record['state']}")
        await self._fetch(record["results"][0])
        self.told.seconds["job"].append(time.monotonic() - began)
        async with self._timed("remove"):
            _require(await self.http.delete(f"/jobs/{job_id}"), 204)
        self.told.jobs += 1

    async def _post(self) -> str:
        body = {"model": self._model, "seed": next(self._seeds), "output": {"preview": False}}
        while True:
            async with self._timed("submit"):
                answer = await self.http.post("/generate", json=body)
            if answer.status_code != 503:
                _require(answer, 202)
                return str(answer.json()["id"])
            await self._come_back(answer)

    async def _poll(self, job_id: str) -> dict[str, Any]:
        while True:
            async with self._timed("poll"):
                answer = await self.http.get(f"/jobs/{job_id}")
            _require(answer, 200)
            if answer.json()["state"] in FINAL:
                return dict(answer.json())
            await asyncio.sleep(POLL_S)

    async def _listen(self, job_id: str) -> dict[str, Any]:
        """To the end of the events, whose last one is the record's."""
        began = time.monotonic()
        first_s = None
        async with self.http.stream("GET", f"/jobs/{job_id}/events") as answer:
            if answer.status_code == 503:
                await answer.aread()
                await self._come_back(answer)
                return await self._poll(job_id)
            _require(answer, 200)
            last = ""
            async for line in answer.aiter_lines():
                if first_s is None:
                    first_s = time.monotonic() - began
                    self.told.seconds["first event"].append(first_s)
                last = line.removeprefix("event: ") if line.startswith("event: ") else last
        if last != "end":
            raise Mishap("events without an end")
        return await self._poll(job_id)

    async def _fetch(self, result: dict[str, Any]) -> None:
        """The volume, held against its digest."""
        digest = hashlib.sha256()
        async with self._timed("download"), self.http.stream("GET", result["url"]) as answer:
            _require(answer, 200)
            async for piece in answer.aiter_raw():
                digest.update(piece)
                self.told.downloaded_bytes += len(piece)
        if digest.hexdigest() != result["sha256"]:
            raise Mishap("wrong bytes")

    async def _come_back(self, answer: httpx.Response) -> None:
        self.told.sent_back += 1
        wait_s = 1.0
        with suppress(ValueError):
            wait_s = float(answer.headers.get("retry-after", ""))
        await asyncio.sleep(wait_s)

    @asynccontextmanager
    async def _timed(self, step: str) -> AsyncIterator[None]:
        began = time.monotonic()
        yield
        self.told.seconds[step].append(time.monotonic() - began)


def _require(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise Mishap(f"status {answer.status_code}")
