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
from contract.state import Manifest, Nearest, ResultFile
from model_store.card import AnyCard, DirectionCard
from volumes.files import write
from volumes.formats import BY_NAME, WRITTEN
from volumes.hashed import Written
from volumes.preview import three_planes
from volumes.volume import Volume
from workers.steps.recipe_events import Latent, Product, ScanDigest
from workers.writing.chosen_grid import check_place, on_chosen_grid
from workers.writing.units import in_units, step_of

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


class Stem(Protocol):
    """What the files of one result are called, without their endings."""

    def __call__(self, index: int, facts: Mapping[str, Any]) -> str:
        """`facts`: the result's `label`, and what it was made from. Called once for each, in order."""


def numbered(index: int, facts: Mapping[str, Any]) -> str:  # noqa: ARG001
    """000, 001, ...: the names over HTTP."""
    return f"{index:03d}"


class Writer:
    """The files of one job, made in `scratch`. Same products, same bytes: nothing here knows the time or the job."""

    def __init__(
        self,
        card: AnyCard,
        output: OutputOptions,
        scratch: Path,
        sink: Sink,
        origin: dict[str, Any],
        stem: Stem = numbered,
    ) -> None:
        """`origin` goes into every volume: what made it, save the latent."""
        self._stem = stem
        self.card, self.output, self.scratch, self.sink, self.origin = card, output, scratch, sink, origin
        self.results: list[ResultFile] = []
        self.files: list[ResultFile] = []
        self._latents: list[Latent] = []
        self._rows: list[int] = []
        """Of each result, where its latent is in `_latents`."""
        self._stored_latents: Sequence[Latent] = ()

    def resume(self, replay: Mapping[str, Any], arithmetic: str) -> int:
        """Goes on after the volumes that an earlier attempt at the same replay, on the same kind of device, has
        finished; how many."""
        digest = hashlib.sha256(json.dumps([replay, arithmetic], sort_keys=True).encode()).hexdigest()
        names = (self._names(numbered(index, {})) for index in itertools.count())
        for files in self.sink.resume(digest, names):
            self.results += [file for file in files if file.shape is not None]
            self.files += [file for file in files if file.shape is None]
        for result in self.results:
            self._stem(result.index, result.model_dump())  # is taken
        return len(self.results)

    def keep_latent(self, latent: Latent) -> None:
        """Of a volume that is finished. Two volumes in a row that are made from one latent share it."""
        if not self._latents or self._latents[-1] is not latent:
            self._latents.append(latent)
        self._rows.append(len(self._latents) - 1)

    def keep_volume(self, product: Product) -> None:
        """One result: the volume and, where wanted, its preview.

        Raises:
            NonFiniteOutput: the network gave NaN or infinity.
            InvalidRequest: the chosen grid would have a side out of bounds, or the format cannot say where it lies.
        """
        product.await_voxels()
        background = self.card.intensity.network_range[0]
        placed = on_chosen_grid(product.volume, self.output, background)
        check_place(self.output, placed)
        stored = Volume(self._stored(np.asarray(placed.array, dtype=np.float32)), placed.affine)
        index = len(self.results)
        made_from = _told_of(product.made_from)
        *previews, name = self._names(self._stem(index, made_from | {"label": product.label}))
        preview = previews[0] if previews else None
        # The preview first: a result that a reader can see has all that it names.
        if preview is not None:
            path = self.scratch / preview
            written = _put(path, three_planes(stored, self._window()))
            self.files.append(self._keep(path, written, index, "png"))
        path = self.scratch / name
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
            modality=self.card.modality,
            units=self.card.intensity.units if self.output.intensity == "stored" else "",
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
            **_score_told(product),
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
        found = self._stored_latents = latents if latents is not None else self._latents
        if found:
            path, file = self.scratch / "latents.npy", io.BytesIO()
            np.save(file, np.stack([latent.values.numpy().astype(np.float32, copy=False) for latent in found]))
            self.files.append(self._keep(path, _put(path, file.getvalue()), 0, "npy"))

    def keep_provenance(self, replay: Mapping[str, Any]) -> None:
        """provenance.json: all that a replay needs, and the digests that it should give again; after `keep_latents`."""
        told = ("name", "sha256", "latent", "noise_seed", "label")
        made = [{name: getattr(entry, name) for name in told} for entry in self.results]
        for facts, entry in zip(made, self.results, strict=True):
            facts["latent"] = self._latent_told(entry, self._stored_latents)
        for facts, entry in zip(made, self.results, strict=True):
            rare = ("scan_sha256", "realism", "seeds_tried")
            facts |= entry.model_dump(include=set(rare), exclude_none=True)
        path = self.scratch / "provenance.json"
        written = _put(path, (json.dumps({**replay, "results": made}, indent=2) + "\n").encode())
        self.files.append(self._keep(path, written, 0, "json"))

    def manifest(self, **found: Any) -> Manifest:
        """What has been kept up to now."""
        return Manifest(results=list(self.results), files=list(self.files), **found)

    def _names(self, stem: str) -> list[str]:
        """Of a sample's files, the volume last."""
        preview = [f"{stem}.png"] if self.output.preview else []
        return [*preview, f"{stem}{BY_NAME[self.output.format].endings[0]}"]

    def _latent_told(self, entry: ResultFile, latents: Sequence[Latent]) -> dict[str, Any] | None:
        """In provenance.json: the seed, or else the row of latents.npy, which holds it in full and once."""
        latent = entry.latent
        if latent is None or "seed" in latent or entry.index >= len(self._rows):
            return latent
        row = self._rows[entry.index]
        return {"file": "latents.npy", "row": row, "space": latents[row].space} if row < len(latents) else latent

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


def _score_told(product: Product) -> dict[str, Any]:
    """The same of how likely it is. Nothing of it is in the volume's file, whose bytes depend on no reference."""
    told: dict[str, Any] = {"seeds_tried": list(product.seeds_tried)} if product.seeds_tried else {}
    score = product.score
    if score is not None:
        nearest = Nearest(index=score.index, distance=score.distance, is_nearer=score.is_nearer)
        told |= {"realism": score.realism, "nearest": nearest}
    return told


def _put(path: Path, data: bytes) -> Written:
    path.write_bytes(data)
    return len(data), hashlib.sha256(data).hexdigest()
