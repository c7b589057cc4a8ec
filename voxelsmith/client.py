"""The Python client: `with Client() as c: image = c.generate(seed=42).volume(0)`; AsyncClient is the same, awaited."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self

from contract.requests import REQUESTS
from volumes.two_files import as_one_file
from volumes.whole_file import taking_the_place_of
from voxelsmith.dataset.by_server import AsyncDataSets, DataSets
from voxelsmith.http.answers import Answers
from voxelsmith.http.blocking import at_once, blocking, each, iterating
from voxelsmith.http.bodies import Vectors, encoded, listed, without_none
from voxelsmith.http.connection import Entered, connect, connect_async
from voxelsmith.http.scans import Scan, as_file
from voxelsmith.job import AsyncJob, Job
from voxelsmith.problems import DamagedDownload, PreconditionFailed

P = ParamSpec("P")
DEFAULT_URL = "http://127.0.0.1:8000"
DEMO_MODEL = "brain-demo-256"
"""The model that comes with Voxelsmith."""


class Calls(Answers):
    """Every call to one server, once: AsyncClient as it is, Client by blocking methods of the same names."""

    # -- making jobs ---------------------------------------------------------------------------------------------

    async def generate(
        self,
        *,
        model: str = DEMO_MODEL,
        num_samples: int | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        latents: Vectors | None = None,
        latent_space: str | None = None,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        class_label: int | str | None = None,
        noise: str | None = None,
        noise_seed: int | None = None,
        score: bool | None = None,
        reject_below: float | None = None,
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
        webhook: str | None = None,
    ) -> AsyncJob:
        """POST /generate. A field left None takes the server's default.

        `latents`: (n, z_dim) or (n, num_styles, w_dim), or one of (z_dim,). `wait_s`: hold the answer until the job
        ends, at most so long.
        """
        body = without_none(
            model=model, num_samples=num_samples, seed=seed, seeds=None if seeds is None else list(seeds), noise=noise,
            latents=listed(latents), latent_space=latent_space, truncation=truncation, output=output, webhook=webhook,
            truncation_cutoff=truncation_cutoff, class_label=class_label, noise_seed=noise_seed,
            score=score, reject_below=reject_below,
        )  # fmt: skip
        return await self.submit("generate", body, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority)

    async def encode(
        self,
        scan: Scan | None = None,
        *,
        model: str = DEMO_MODEL,
        source: Mapping[str, Any] | None = None,
        series: int | None = None,
        refine_steps: int | None = None,
        reconstruct: bool | None = None,
        class_label: int | str | None = None,
        preprocess: Mapping[str, Any] | None = None,
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
        webhook: str | None = None,
    ) -> AsyncJob:
        """POST /encode: a scan file (`volumes.formats.READABLE_HERE`) or a folder of a DICOM series, or a `source`: an
        earlier result as {"job": ...}, a sample as {"seed": ...}. `series`: its number, where there are several. DICOM
        is made NIfTI here: its header never leaves this machine."""
        if (scan is None) == (source is None):
            raise ValueError("give either a scan file or a source")
        body = without_none(
            model=model, source=source, series=series, refine_steps=refine_steps, reconstruct=reconstruct,
            class_label=class_label, preprocess=preprocess, output=output, webhook=webhook,
        )  # fmt: skip
        return await self.submit(
            "encode", body, scan=scan, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority
        )

    async def edit(
        self,
        *,
        source: Mapping[str, Any],
        edit: Mapping[str, Any],
        model: str = DEMO_MODEL,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        class_label: int | str | None = None,
        noise: str | None = None,
        noise_seed: int | None = None,
        score: bool | None = None,
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
        webhook: str | None = None,
    ) -> AsyncJob:
        """POST /edit: `source` such as {"seed": 42}, `edit` such as {"op": "move", "direction": ..., ...} or
        {"op": "mix", "target": {"seed": 2}, "crossover": 7}."""
        body = without_none(
            model=model, source=source, edit=edit, truncation=truncation, truncation_cutoff=truncation_cutoff,
            class_label=class_label, noise=noise, noise_seed=noise_seed, output=output, webhook=webhook,
            score=score,
        )  # fmt: skip
        return await self.submit("edit", body, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority)

    async def translate(
        self,
        scan: Scan | None = None,
        *,
        model: str,
        mask: Scan | None = None,
        edges: str | None = None,
        grid: str | None = None,
        source: Mapping[str, Any] | None = None,
        series: int | None = None,
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
        webhook: str | None = None,
    ) -> AsyncJob:
        """POST /translate: a scan file (.nii, .nii.gz, .nrrd, .mha), or an earlier result as `source` {"job": ...}.

        `mask`: a file of pathologies on the scan's grid. `edges`: "given" where the scan is an edge image itself.
        """
        if (scan is None) == (source is None):
            raise ValueError("give either a scan file or a source")
        body = without_none(model=model, source=source, series=series, edges=edges, grid=grid, output=output)
        body |= without_none(webhook=webhook)
        return await self.submit(
            "translate", body, scan=scan, mask=mask, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority
        )

    async def submit(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        scan: Scan | None = None,
        mask: Scan | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
    ) -> AsyncJob:
        """POST the request of a kind as it is; `scan`, and beside it `mask`, go along as its uploads.

        `body`: all of the request's fields, of a fit_direction `model` and `fit`. `priority`: high, normal or low. Of a
        scan in two files either one is named, and they are sent as one.

        Raises: VolumeError, where the second file of the scan is not beside the first; what the server refuses.
        """
        request = REQUESTS[kind]
        path = request.path.format_map(body)
        body = body if request.body_field is None else body[request.body_field]
        wishes = [f"{name}={value}" for name, value in (("wait", wait_s), ("priority", priority)) if value is not None]
        headers = without_none(Prefer=", ".join(wishes) or None, **{"Idempotency-Key": idempotency_key})
        if scan is None:
            headers["Content-Type"] = "application/json"
            return self._job(await self._record("POST", path, content=encoded(body), headers=headers))
        parts: dict[str, Any] = {"request": (None, encoded(body), "application/json")}
        async with AsyncExitStack() as stack:
            for part, name, given in (("volume", "scan", scan), ("mask", "mask", mask)):
                # The file's own name may hold a patient's; the server finds the format by content.
                if given is not None:
                    series = body.get("series") if name == "scan" else None
                    path_of = await stack.enter_async_context(Entered(self.connection, as_file(given)))
                    whole = await stack.enter_async_context(Entered(self.connection, as_one_file(path_of, series)))
                    file = await stack.enter_async_context(Entered(self.connection, whole.open("rb")))
                    parts[part] = (name, file, "application/octet-stream")
            return self._job(await self._record("POST", path, files=parts, headers=headers))

    # -- looking at jobs -----------------------------------------------------------------------------------------

    def _job(self, record: dict[str, Any]) -> AsyncJob:
        """Raises: UnreadableAnswer."""
        if not {"id", "state"} <= record.keys():
            raise self._unreadable()
        return AsyncJob(self, record)

    async def job(self, job_id: str) -> AsyncJob:
        return self._job(await self.fetch_record(job_id))

    async def jobs(
        self, *, state: str | None = None, kind: str | None = None, model: str | None = None, limit: int = 50
    ) -> AsyncIterator[AsyncJob]:
        """All jobs that match, newest first, fetched `limit` at a time."""
        query = without_none(state=state, kind=kind, model=model, limit=limit)
        while True:
            page = await self._record("GET", "/jobs", params=query)
            for record in self._items(page):
                yield self._job(record)
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    async def fetch_record(self, job_id: str) -> dict[str, Any]:
        return await self._record("GET", f"/jobs/{job_id}")

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        """The record of a job that was asked to stop, or that had ended.

        One that ends at this moment is kept too, unless a proxy takes away the record's ETag.
        """
        while True:
            seen = await self._send("GET", f"/jobs/{job_id}")
            job = self._job(self._read(seen))
            if job.is_done:
                return job.record
            tag = seen.headers.get("ETag", "*").removeprefix("W/")  # which a proxy that compresses puts before it
            try:
                return await self._record("DELETE", f"/jobs/{job_id}", headers={"If-Match": tag})
            except PreconditionFailed:
                continue  # the record has changed since the look at it

    async def delete_job(self, job_id: str) -> None:
        """DELETE /jobs/{id}: removes a job that has ended, cancels any other."""
        await self._send("DELETE", f"/jobs/{job_id}")

    async def events(self, job_id: str, after: str | None = None) -> AsyncIterator[tuple[str, str, Any]]:
        """Server-sent events of a job: (event id, type, data), to the terminal `end`."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        async with self._stream(f"/jobs/{job_id}/events", headers) as streamed:
            fields: dict[str, str] = {}
            async for line in streamed.lines:
                if not line and "data" in fields:
                    yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
                    fields = {}
                elif line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value

    # -- files ---------------------------------------------------------------------------------------------------

    async def read(self, url: str, sha256: str | None = None) -> bytes:
        """A result file in memory. Raises: DamagedDownload when its bytes do not have the given SHA-256."""
        data = (await self._send("GET", url)).content
        if sha256 and hashlib.sha256(data).hexdigest() != sha256:
            raise DamagedDownload("the file's bytes do not have the SHA-256 of the job record")
        return data

    async def save(self, url: str, path: Path, sha256: str | None = None) -> None:
        """A result file to disk, where `path` changes once it is complete. Raises: DamagedDownload as read()."""
        digest = hashlib.sha256()
        draft = Entered(self.connection, taking_the_place_of(path))
        async with draft as file, self._stream(url) as streamed:
            async for block in streamed.blocks:
                digest.update(block)
                file.write(block)
            if sha256 and digest.hexdigest() != sha256:
                raise DamagedDownload("the file's bytes do not have the SHA-256 of the job record")

    # -- models --------------------------------------------------------------------------------------------------

    async def models(self) -> list[dict[str, Any]]:
        """The cards of all models, broken ones among them."""
        return self._items(await self._record("GET", "/models"))

    async def model(self, name: str) -> dict[str, Any]:
        return await self._record("GET", f"/models/{name}")

    async def directions(self, model: str) -> list[dict[str, Any]]:
        return self._items(await self._record("GET", f"/models/{model}/directions"))

    async def fit_direction(self, model: str, fit: Mapping[str, Any]) -> AsyncJob:
        """POST /models/{name}/directions: `fit` is the JSON body of the call."""
        return await self.submit("fit_direction", {"model": model, "fit": fit})

    async def remove_direction(self, model: str, direction: str) -> None:
        await self._send("DELETE", f"/models/{model}/directions/{direction}")

    async def ready(self) -> dict[str, Any]:
        """GET /readyz. Raises: ServiceUnavailable while the server cannot serve."""
        return await self._record("GET", "/readyz")


class AsyncClient(AsyncDataSets, Calls):
    """As Client, under asyncio or trio: `async with AsyncClient() as c: image = await (await c.generate()).volume(0)`.

    The same methods with the same parameters: each is awaited, and `jobs` and `events` are iterated by `async for`.
    """

    def __init__(self, url: str = DEFAULT_URL, api_key: str | None = None, *, timeout_s: float = 90.0) -> None:
        """As Client's. Raises: BadAddress, BadKey."""
        super().__init__(connect_async(url, api_key, timeout_s))
        self._open = partial(Client, url, api_key, timeout_s=timeout_s)

    def _blocking(self) -> "Client":
        return self._open()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _job(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncJob]]) -> Callable[Concatenate[Any, P], Job]:
    @wraps(method)
    def run(client: Any, /, *args: P.args, **options: P.kwargs) -> Job:
        return Job(at_once(method(client._awaited, *args, **options)))

    return run


def _jobs(
    method: Callable[Concatenate[Any, P], AsyncIterator[AsyncJob]],
) -> Callable[Concatenate[Any, P], Iterator[Job]]:
    @wraps(method)
    def run(client: Any, /, *args: P.args, **options: P.kwargs) -> Iterator[Job]:
        return map(Job, each(method(client._awaited, *args, **options)))

    return run


class Client(DataSets):
    """Talks to one Voxelsmith server. Every method raises the classes of voxelsmith.problems: one per HTTP code."""

    def __init__(self, url: str = DEFAULT_URL, api_key: str | None = None, *, timeout_s: float = 90.0) -> None:
        """`api_key`: for a server that asks for one; kept out of reprs and never sent on to another host.

        `timeout_s`: for an answer; longer than the 60 s that `wait_s` may hold one.

        A proxy is used where the environment names one (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), but
        never to this machine itself; certificates are those of `SSL_CERT_FILE` or `SSL_CERT_DIR`, where set.

        Raises: BadAddress, BadKey.
        """
        connection = connect(url, api_key, timeout_s)
        self._http = connection.http
        self._awaited = Calls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def server_version(self) -> str | None:
        """As the last answer told it."""
        return self._awaited.server_version

    close = blocking(Calls.close)
    generate = _job(Calls.generate)
    encode = _job(Calls.encode)
    edit = _job(Calls.edit)
    translate = _job(Calls.translate)
    submit = _job(Calls.submit)
    job = _job(Calls.job)
    jobs = _jobs(Calls.jobs)
    fetch_record = blocking(Calls.fetch_record)
    cancel_job = blocking(Calls.cancel_job)
    delete_job = blocking(Calls.delete_job)
    events = iterating(Calls.events)
    read = blocking(Calls.read)
    save = blocking(Calls.save)
    models = blocking(Calls.models)
    model = blocking(Calls.model)
    directions = blocking(Calls.directions)
    fit_direction = _job(Calls.fit_direction)
    remove_direction = blocking(Calls.remove_direction)
    ready = blocking(Calls.ready)
