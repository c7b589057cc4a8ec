"""What the files of a job are called in a folder of the user's: by what they hold (docs/decisions/0049).

Over HTTP they are 000.nii.gz, 001.nii.gz, ...; `Names` makes the others from a request and what each result says of
itself, so that a job has the same files whichever way it was run.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Facts = Mapping[str, Any]
_ON_SCAN = re.compile(r"[ -]scan-grid$")
OF_A_VOLUME = r"(?:(?:seed-|latent[-_]|job-|reconstruction_|translated)[^/]*|[0-9]{3,})"
"""How the names begin that this file gives, and those that HTTP has."""


class Names:
    """The stems of one job's results, in order."""

    def __init__(self, kind: str, request: Facts, *, is_placed: bool = False) -> None:
        """`is_placed`: each volume of an edit comes on the model's grid and on the scan's."""
        self._kind, self._request, self._is_placed = kind, request, is_placed
        self._taken: dict[str, int] = {}

    def __call__(self, index: int, facts: Facts) -> str:
        """The stem of the next result. `facts`: its `label`, `latent` and `noise_seed`, as a record has them."""
        stem = "_".join(_plain(part) for part in self._parts(index, facts))
        self._taken[stem] = count = self._taken.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}_{count}"

    def _parts(self, index: int, facts: Facts) -> Iterator[str]:
        label = facts.get("label") or ""
        if self._kind == "translate":
            yield "translated"
            yield from _grid(self._request.get("output") or {})
            return
        what = _ON_SCAN.sub("", label)
        if self._kind == "generate":
            yield self._sample(index, facts)
        elif self._kind == "edit":
            yield _source(self._request["source"])
        else:
            yield what or f"{index:03d}"
        yield from self._settings(facts)
        if self._kind == "edit":
            yield from _change(self._request["edit"], what)
        if label != what:
            yield "scan-grid"
        elif self._is_placed or self._kind == "encode":
            yield "model-grid"

    def _sample(self, index: int, facts: Facts) -> str:
        own, request = facts.get("latent") or {}, self._request
        if "seed" in own:
            return f"seed-{own['seed']}"
        if request.get("seeds"):
            return f"seed-{request['seeds'][index]}"
        return f"latent-{index}" if request.get("latents") else f"seed-{(request.get('seed') or 0) + index}"

    def _settings(self, facts: Facts) -> Iterator[str]:
        request = self._request
        if request.get("class_label") is not None:
            yield f"class-{request['class_label']}"
        if request.get("truncation") is not None:
            yield f"truncation-{request['truncation']:g}"
        if request.get("truncation_cutoff") is not None:
            yield f"cutoff-{request['truncation_cutoff']}"
        if facts.get("noise_seed") is not None:
            yield f"noise-{facts['noise_seed']}"
        yield from _grid(request.get("output") or {})


def _grid(output: Facts) -> Iterator[str]:
    chosen = output.get("grid") or {}
    if "spacing_mm" in chosen:
        yield "spacing-" + "x".join(f"{size:g}" for size in chosen["spacing_mm"])
    elif "shape" in chosen and "affine" not in chosen:
        yield "shape-" + "x".join(str(side) for side in chosen["shape"])
    elif chosen:
        yield "reference-grid"
    if output.get("crop"):
        yield str(output["crop"])


def names_of(record: Facts) -> dict[str, str]:
    """From the name of each of a record's volumes and previews over HTTP to the one in a folder of the user's."""
    names = Names(record["kind"], record["request"], is_placed=bool(record.get("placement")))
    given: dict[str, str] = {}
    for entry in record.get("results") or []:
        stem = names(entry["index"], entry)
        preview = {entry["preview"]: f"{stem}.png"} if entry.get("preview") else {}
        given |= preview | {entry["name"]: stem + str(entry["name"])[str(entry["name"]).index(".") :]}
    return given


def renamed(entries: list[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Results or files of a record or of a provenance.json, under other names; the rest as it is."""
    new = [{**entry, "name": names.get(entry["name"], entry["name"])} for entry in entries]
    return [
        entry | ({"preview": names.get(entry["preview"], entry["preview"])} if entry.get("preview") else {})
        for entry in new
    ]


def _change(change: Facts, what: str) -> Iterator[str]:
    """What an edit did, in the words of its label: strength=-3, target=4.2, step=1/4, crossover=7."""
    if "direction" in change:
        yield str(change["direction"])
    elif change.get("target"):
        yield ("mix-" if change["op"] == "mix" else "to-") + _source(change["target"])
    word, _, value = what.partition("=")
    if word in ("strength", "target"):
        yield f"{word}{float(value):+g}"
    elif word == "step":
        number, _, total = value.partition("/")
        yield f"step-{number.zfill(len(total))}-of-{total}"
    else:
        yield f"{word}-{value}"


def _source(source: Facts) -> str:
    if "seed" in source:
        return f"seed-{source['seed']}"
    return f"job-{source['job'][:8]}-{source.get('index', 0)}" if "job" in source else "latent"


def _plain(part: str) -> str:
    """Of a class's name, what every file system takes."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", part)
