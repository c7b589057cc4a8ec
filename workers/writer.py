"""Writer: a job's products to files in stored units, each handed to the sink as soon as it is whole."""

import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.fields import OutputOptions
from contract.state import Manifest, ResultFile
from model_store.card import AnyCard, DirectionCard
from volumes.files import write
from volumes.formats import WRITTEN
from volumes.hashed import Written
from volumes.preview import three_planes
from volumes.volume import Volume
from workers.recipe_events import Latent, Product, ScanDigest
from workers.units import in_units, step_of

MEDIA_TYPES = {row.name: row.media_type for row in WRITTEN} | {"png": "image/png", "json": "application/json"}


class Sink(Protocol):
    """Where a job's progress and files go."""

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:
        """Called between steps; `left_s`: to the end of the job, where known. Raises: JobCanceled, LeaseLost."""

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        """Stores a finished file durably, may move it away, and gives the entry with its address."""

    def resume(self, replay_sha256: str, samples: Iterable[Sequence[str]]) -> list[list[ResultFile]]:
        """Takes over what an earlier attempt with the same digest left of this job, which gives the same bytes.

        `samples`: the names of each sample's files. Returns the files of the first samples that are there and whole.
        """


class Writer:
    """The files of one job, made in `scratch`. Same products, same bytes: nothing here knows the time or the job."""

    def __init__(self, card: AnyCard, output: OutputOptions, scratch: Path, sink: Sink, origin: dict[str, Any]) -> None:
        """`origin` goes into every volume: what made it, save the latent."""
        self.card, self.output, self.scratch, self.sink, self.origin = card, output, scratch, sink, origin
        self.results: list[ResultFile] = []
        self.files: list[ResultFile] = []
        self._latents: list[Latent] = []

    def resume(self, replay: Mapping[str, Any], arithmetic: str) -> int:
        """Goes on after the volumes that an earlier attempt at the same replay, on the same kind of device, has
        finished; how many."""
        digest = hashlib.sha256(json.dumps([replay, arithmetic], sort_keys=True).encode()).hexdigest()
        names = (self._names(index) for index in itertools.count())
        for files in self.sink.resume(digest, names):
            self.results += [file for file in files if file.shape is not None]
            self.files += [file for file in files if file.shape is None]
        return len(self.results)

    def keep_latent(self, latent: Latent) -> None:
        """Of a volume that is finished."""
        self._latents.append(latent)

    def keep_volume(self, product: Product) -> None:
        """One result: the volume and, where wanted, its preview.

        Raises:
            NonFiniteOutput: the network gave NaN or infinity.
        """
        product.await_voxels()
        network_array = np.asarray(product.volume.array, dtype=np.float32)
        stored = Volume(self._stored(network_array), product.volume.affine)
        index = len(self.results)
        *previews, name = self._names(index)
        preview = previews[0] if previews else None
        # The preview first: a result that a reader can see has all that it names.
        if preview is not None:
            path = self.scratch / preview
            written = _put(path, three_planes(stored, self._window()))
            self.files.append(self._keep(path, written, index, "png"))
        path = self.scratch / name
        made_from = _told_of(product.made_from)
        told = {name: value for name, value in made_from.items() if value is not None}
        noise_seed = told.pop("noise_seed", None)  # last: the order is part of a file's bytes
        origin = self.origin | told | {"label": product.label}
        if noise_seed is not None:
            origin["noise_seed"] = noise_seed
        written = write(
            stored,
            path,
            format=self.output.format,
            window=self._window(),
            provenance=origin,
            slope=step_of(self.output),
        )
        entry = self._keep(
            path,
            written,
            index,
            self.output.format,
            shape=list(stored.shape),
            spacing_mm=[float(size) for size in stored.spacing_mm],
            preview=preview,
            label=product.label,
            **made_from,
        )
        self.results.append(entry)
        if isinstance(product.made_from, Latent):
            self.keep_latent(product.made_from)

    def keep_direction(self, direction: DirectionCard) -> None:
        """A fitted direction as a file of its own, whose name is no other file's, whatever the direction is called."""
        path = self.scratch / f"direction-{direction.name}.json"
        written = _put(path, direction.model_dump_json(indent=2).encode())
        self.files.append(self._keep(path, written, 0, "json", label="direction"))

    def keep_latents(self, latents: list[Latent] | None = None) -> None:
        """latents.npy: (n, z_dim) or (n, num_styles, w_dim) float32, of an encode's finding or else of the results."""
        found = latents if latents is not None else self._latents
        if found:
            path, file = self.scratch / "latents.npy", io.BytesIO()
            np.save(file, np.stack([latent.values.numpy().astype(np.float32, copy=False) for latent in found]))
            self.files.append(self._keep(path, _put(path, file.getvalue()), 0, "npy"))

    def keep_provenance(self, replay: Mapping[str, Any]) -> None:
        """provenance.json: all that a replay needs, and the digests that it should give again."""
        told = ("name", "sha256", "latent", "noise_seed", "label")
        made = [{name: getattr(entry, name) for name in told} for entry in self.results]
        for facts, entry in zip(made, self.results, strict=True):
            if entry.scan_sha256 is not None:
                facts["scan_sha256"] = entry.scan_sha256
        path = self.scratch / "provenance.json"
        written = _put(path, (json.dumps({**replay, "results": made}, indent=2) + "\n").encode())
        self.files.append(self._keep(path, written, 0, "json"))

    def manifest(self, **found: Any) -> Manifest:
        """What has been kept up to now."""
        return Manifest(results=list(self.results), files=list(self.files), **found)

    def _names(self, index: int) -> list[str]:
        """Of a sample's files, the volume last."""
        preview = [f"{index:03d}.png"] if self.output.preview else []
        return [*preview, f"{index:03d}.{self.output.format}"]

    def _keep(self, path: Path, written: Written, index: int, kind: str, **facts: Any) -> ResultFile:
        size, digest = written
        entry = ResultFile(
            name=path.name, index=index, media_type=MEDIA_TYPES[kind], size_bytes=size, sha256=digest, **facts
        )
        stored = self.sink.keep(path, entry)
        path.unlink(missing_ok=True)
        return stored

    def _stored(self, network_array: NDArray[np.float32]) -> NDArray[np.generic]:
        return in_units(network_array, self.card, self.output)

    def _window(self) -> tuple[float, float]:
        """The card's display window in the units of the file: through the same conversion as the voxels."""
        spec, (low, high) = self.card.intensity, self.card.window
        start, end = spec.network_range
        per_unit = (end - start) / (spec.high - spec.low)
        ends = np.array([[[start + (x - spec.low) * per_unit for x in (low, high)]]], dtype=np.float32)
        first, last = self._stored(ends).ravel().tolist()
        return float(first), float(last)


def _told_of(made_from: Latent | ScanDigest) -> dict[str, Any]:
    """What a result says of where it comes from, in the fields of ResultFile."""
    if isinstance(made_from, ScanDigest):
        return {"scan_sha256": made_from.sha256}
    return {"latent": made_from.source, "noise_seed": made_from.noise_seed}


def _put(path: Path, data: bytes) -> Written:
    path.write_bytes(data)
    return len(data), hashlib.sha256(data).hexdigest()
