"""The Python client: `with Client() as c: image = c.generate(seed=42).volume(0)`."""

import hashlib
import ipaddress
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import numpy.typing as npt

from contract.requests import REQUESTS
from volumes.two_files import as_one_file
from volumes.whole_file import taking_the_place_of
from voxelsmith.dataset.by_server import DataSets
from voxelsmith.job import Job
from voxelsmith.problems import BadAddress, BadKey, DamagedDownload, PreconditionFailed, ServerUnreachable, problem_of

Vectors = npt.ArrayLike
DEFAULT_URL = "http://127.0.0.1:8000"
_UNANSWERED = (httpx.RequestError, httpx.InvalidURL, UnicodeError)
"""The second of a redirect's address, the third of a host's name."""
_SENDABLE = re.compile(r"[!-~]+")
"""What a header takes as it is."""
DEMO_MODEL = "brain-demo-256"
"""The model that comes with Voxelsmith."""


class Client(DataSets):
    """Talks to one Voxelsmith server. Every method raises the classes of voxelsmith.problems: one per HTTP code."""

    def __init__(self, url: str = DEFAULT_URL, api_key: str | None = None, *, timeout_s: float = 90.0) -> None:
        """`api_key`: for a server that asks for one; kept out of reprs and never sent on to another host.

        `timeout_s`: for an answer; longer than the 60 s that `wait_s` may hold one.

        A proxy is used where the environment names one (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), but
        never to this machine itself.

        Raises: BadAddress, BadKey.
        """
        if api_key and not _SENDABLE.fullmatch(api_key):
            raise BadKey("the API key holds a character that no key has")
        try:
            base_url = httpx.URL(url)
        except httpx.InvalidURL as err:
            raise BadAddress("the server's address is not a URL such as http://127.0.0.1:8000") from err
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
        options: dict[str, Any] = {"headers": headers, "timeout": timeout_s, "follow_redirects": True}
        try:
            self._http = httpx.Client(base_url=base_url, mounts=_direct_routes(base_url.host), **options)
        except (ImportError, ValueError, httpx.InvalidURL) as err:
            if not is_loopback(base_url.host):
                raise BadAddress("the proxy that the environment names is none that can be used here") from err
            self._http = httpx.Client(base_url=base_url, trust_env=False, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # -- making jobs ---------------------------------------------------------------------------------------------

    def generate(
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
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
    ) -> Job:
        """POST /generate. A field left None takes the server's default.

        `latents`: (n, z_dim) or (n, num_styles, w_dim), or one of (z_dim,). `wait_s`: hold the answer until the job
        ends, at most so long.
        """
        body = _without_none(
            model=model, num_samples=num_samples, seed=seed, seeds=None if seeds is None else list(seeds),
            latents=_listed(latents), latent_space=latent_space, truncation=truncation,
            truncation_cutoff=truncation_cutoff, class_label=class_label, noise=noise, noise_seed=noise_seed,
            output=output,
        )  # fmt: skip
        return self.submit("generate", body, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority)

    def encode(
        self,
        scan: str | Path | None = None,
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
    ) -> Job:
        """POST /encode: a scan file (`volumes.formats.READABLE_HERE`) or a folder of a DICOM series, or a `source`: an
        earlier result as {"job": ...}, a sample as {"seed": ...}. `series`: its number, where there are several. DICOM
        is made NIfTI here: its header never leaves this machine."""
        if (scan is None) == (source is None):
            raise ValueError("give either a scan file or a source")
        body = _without_none(
            model=model, source=source, series=series, refine_steps=refine_steps, reconstruct=reconstruct,
            class_label=class_label, preprocess=preprocess, output=output,
        )  # fmt: skip
        return self.submit("encode", body, scan=scan, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority)

    def edit(
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
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
    ) -> Job:
        """POST /edit: `source` such as {"seed": 42}, `edit` such as {"op": "move", "direction": ..., ...} or
        {"op": "mix", "target": {"seed": 2}, "crossover": 7}."""
        body = _without_none(
            model=model, source=source, edit=edit, truncation=truncation, truncation_cutoff=truncation_cutoff,
            class_label=class_label, noise=noise, noise_seed=noise_seed, output=output,
        )  # fmt: skip
        return self.submit("edit", body, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority)

    def translate(
        self,
        scan: str | Path | None = None,
        *,
        model: str,
        mask: str | Path | None = None,
        edges: str | None = None,
        grid: str | None = None,
        source: Mapping[str, Any] | None = None,
        series: int | None = None,
        output: Mapping[str, Any] | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
    ) -> Job:
        """POST /translate: a scan file (.nii, .nii.gz, .nrrd, .mha), or an earlier result as `source` {"job": ...}.

        `mask`: a file of pathologies on the scan's grid. `edges`: "given" where the scan is an edge image itself.
        """
        if (scan is None) == (source is None):
            raise ValueError("give either a scan file or a source")
        body = _without_none(model=model, source=source, series=series, edges=edges, grid=grid, output=output)
        return self.submit(
            "translate", body, scan=scan, mask=mask, wait_s=wait_s, idempotency_key=idempotency_key, priority=priority
        )

    def submit(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        scan: str | Path | None = None,
        mask: str | Path | None = None,
        wait_s: int | None = None,
        idempotency_key: str | None = None,
        priority: str | None = None,
    ) -> Job:
        """POST the request of a kind as it is; `scan`, and beside it `mask`, go along as its uploads.

        `body`: all of the request's fields, of a fit_direction `model` and `fit`. `priority`: high, normal or low. Of a
        scan in two files either one is named, and they are sent as one.

        Raises: VolumeError, where the second file of the scan is not beside the first; what the server refuses.
        """
        request = REQUESTS[kind]
        path = request.path.format_map(body)
        body = body if request.body_field is None else body[request.body_field]
        wishes = [f"{name}={value}" for name, value in (("wait", wait_s), ("priority", priority)) if value is not None]
        headers = _without_none(Prefer=", ".join(wishes) or None, **{"Idempotency-Key": idempotency_key})
        if scan is None:
            return Job(self, self._post(path, body, headers))
        parts: dict[str, Any] = {"request": (None, _encoded(body), "application/json")}
        with ExitStack() as stack:
            for part, name, file in (("volume", "scan", scan), ("mask", "mask", mask)):
                # The file's own name may hold a patient's; the server finds the format by content.
                if file is not None:
                    series = body.get("series") if name == "scan" else None
                    whole = stack.enter_context(as_one_file(Path(file), series))
                    parts[part] = (name, stack.enter_context(whole.open("rb")), "application/octet-stream")
            return Job(self, self._json("POST", path, files=parts, headers=headers))

    # -- looking at jobs -----------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        return Job(self, self.fetch_record(job_id))

    def jobs(
        self, *, state: str | None = None, kind: str | None = None, model: str | None = None, limit: int = 50
    ) -> Iterator[Job]:
        """All jobs that match, newest first, fetched `limit` at a time."""
        query = _without_none(state=state, kind=kind, model=model, limit=limit)
        while True:
            page = self._json("GET", "/jobs", params=query)
            for record in page["items"]:
                yield Job(self, record)
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    def fetch_record(self, job_id: str) -> dict[str, Any]:
        return dict(self._json("GET", f"/jobs/{job_id}"))

    def cancel_job(self, job_id: str) -> dict[str, Any]:
        """The record of a job that was asked to stop, or that had ended.

        One that ends at this moment is kept too, unless a proxy takes away the record's ETag.
        """
        while True:
            seen = self._send("GET", f"/jobs/{job_id}")
            job = Job(self, dict(seen.json()))
            if job.is_done:
                return job.record
            tag = seen.headers.get("ETag", "*").removeprefix("W/")  # which a proxy that compresses puts before it
            try:
                return dict(self._json("DELETE", f"/jobs/{job_id}", headers={"If-Match": tag}))
            except PreconditionFailed:
                continue  # the record has changed since the look at it

    def delete_job(self, job_id: str) -> None:
        """DELETE /jobs/{id}: removes a job that has ended, cancels any other."""
        self._send("DELETE", f"/jobs/{job_id}")

    def events(self, job_id: str, after: str | None = None) -> Iterator[tuple[str, str, Any]]:
        """Server-sent events of a job: (event id, type, data), to the terminal `end`."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        with self._stream(f"/jobs/{job_id}/events", headers) as response:
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if not line and "data" in fields:
                    yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
                    fields = {}
                elif line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value

    # -- files ---------------------------------------------------------------------------------------------------

    def read(self, url: str, sha256: str | None = None) -> bytes:
        """A result file in memory. Raises: DamagedDownload when its bytes do not have the given SHA-256."""
        data = self._send("GET", url).content
        if sha256 and hashlib.sha256(data).hexdigest() != sha256:
            raise DamagedDownload("the file's bytes do not have the SHA-256 of the job record")
        return data

    def save(self, url: str, path: Path, sha256: str | None = None) -> None:
        """A result file to disk, where `path` changes once it is complete. Raises: DamagedDownload as read()."""
        digest = hashlib.sha256()
        with taking_the_place_of(path) as file, self._stream(url) as response:
            for block in response.iter_bytes():
                digest.update(block)
                file.write(block)
            if sha256 and digest.hexdigest() != sha256:
                raise DamagedDownload("the file's bytes do not have the SHA-256 of the job record")

    # -- models --------------------------------------------------------------------------------------------------

    def models(self) -> list[dict[str, Any]]:
        """The cards of all models, broken ones among them."""
        return list(self._json("GET", "/models")["items"])

    def model(self, name: str) -> dict[str, Any]:
        return dict(self._json("GET", f"/models/{name}"))

    def directions(self, model: str) -> list[dict[str, Any]]:
        return list(self._json("GET", f"/models/{model}/directions")["items"])

    def fit_direction(self, model: str, fit: Mapping[str, Any]) -> Job:
        """POST /models/{name}/directions: `fit` is the JSON body of the call."""
        return self.submit("fit_direction", {"model": model, "fit": fit})

    def remove_direction(self, model: str, direction: str) -> None:
        self._send("DELETE", f"/models/{model}/directions/{direction}")

    def ready(self) -> dict[str, Any]:
        """GET /readyz. Raises: ServiceUnavailable while the server cannot serve."""
        return dict(self._json("GET", "/readyz"))

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._send(method, path, **options).json()

    def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._json("POST", path, content=_encoded(body), headers=headers)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except _UNANSWERED as err:
            raise self._unreachable(err) from err
        _raise_for_problem(response)
        return response

    @contextmanager
    def _stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, headers=headers) as response:
                if response.is_error:
                    response.read()
                _raise_for_problem(response)
                yield response
        except _UNANSWERED as err:
            raise self._unreachable(err) from err

    def _unreachable(self, err: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"no answer from {self._http.base_url}: {err or type(err).__name__}")


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _direct_routes(host: str) -> dict[str, httpx.BaseTransport | None]:
    """Where httpx is to ask no proxy: this machine, and everything where the environment names none for everything."""
    direct = httpx.HTTPTransport(retries=2)  # of the connection only: nothing was sent yet
    routes = ["all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]"]
    if is_loopback(host):
        routes.append(f"all://[{host}]" if ":" in host else f"all://{host}")
    if not urllib.request.getproxies().get("all"):
        routes.append("all://")
    return dict.fromkeys(routes, direct)


def _raise_for_problem(response: httpx.Response) -> None:
    """Raises: the class of voxelsmith.problems for the code of an error answer."""
    if not response.is_error:
        return
    try:
        body = response.json()
    except ValueError:  # a proxy's own page
        body = None
    raise problem_of(response.status_code, body)


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _encoded(body: Mapping[str, Any]) -> bytes:
    """A request body as JSON, in which numpy's arrays and scalars may stand anywhere."""
    return json.dumps(body, default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """What json asks for where it does not know a type. Raises: TypeError."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"a request cannot hold a {type(value).__name__}")
    return value.tolist()


def _listed(vectors: Vectors | None) -> Any:
    """A vector alone is a list of one."""
    if vectors is None:
        return None
    array = np.asarray(vectors, dtype=np.float64)
    return (array[np.newaxis] if array.ndim == 1 else array).tolist()
