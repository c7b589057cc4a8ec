"""Where a volume comes from: the record that a replay needs, and what each volume carries in its own header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from contract.errors import InvalidRequest
from contract.fields import OutputOptions
from contract.requests import REQUESTS, AnyRequest
from contract.state import JobKind, Placement
from contract.version import software_version
from model_store.card import REFERENCE, AnyCard, DirectionCard
from model_store.integrity import sha256_of
from workers.bench import Bench

PROVENANCE_VERSION = 1


def replay_record(
    request: AnyRequest,
    card: AnyCard,
    direction: DirectionCard | None,
    placement: Placement | None,
    scan_path: Path | None,
    bench: Bench,
    mask_path: Path | None = None,
) -> dict[str, Any]:
    """provenance.json without the results. No times, hosts or file names: the same job gives the same record."""
    record = {
        "provenance_version": PROVENANCE_VERSION,
        "synthetic": True,
        "software": {"name": "voxelsmith", "version": software_version(), "torch": torch.__version__},
        "model": {"name": card.name, "sha256": card.sha256, "family": card.family},
        "kind": request.kind,
        "request": request.model_dump(mode="json"),
        "direction": direction.model_dump(mode="json") if direction is not None else None,
        **({} if placement is None else {"placement": placement.model_dump(mode="json")}),
        "scan": {"sha256": sha256_of(scan_path)} if request.takes_scan and scan_path is not None else None,
        "device": {"type": bench.device.type, "precision": bench.precision},
    }
    if request.reads_reference:
        record["reference"] = {"sha256": card.files[REFERENCE]}
    return record if mask_path is None else record | {"mask": {"sha256": sha256_of(mask_path)}}


def origin(record: Mapping[str, Any], request: AnyRequest) -> dict[str, Any]:
    """What every volume carries in its own header."""
    software = record["software"]
    return {
        "synthetic": True,
        "software": f"{software['name']} {software['version']}",
        "model": record["model"]["name"],
        "model_sha256": record["model"]["sha256"],
        "kind": record["kind"],
        **request.told(),
        **_grid_told(request.output),
    }


def _grid_told(output: OutputOptions) -> dict[str, Any]:
    """What was chosen of the volume's grid; nothing where nothing was."""
    told = output.model_dump(mode="json", include={"grid", "crop"}, exclude_none=True)
    return {f"output_{name}": value for name, value in told.items()}


def replayed(
    provenance: Mapping[str, Any], scan_path: Path | None, bench: Bench, mask_path: Path | None = None
) -> tuple[JobKind, dict[str, Any]]:
    """Kind and payload of the job that a provenance.json tells of.

    Raises:
        InvalidRequest: no such record, other weights under the model's name, another scan or mask, or none where there
            was one. And as `Bench.card`.
    """
    try:
        kind, request, scan = provenance["kind"], dict(provenance["request"]), provenance["scan"]
        known = provenance["provenance_version"] == PROVENANCE_VERSION and kind in REQUESTS
        digest, model, direction = provenance["model"]["sha256"], str(request["model"]), provenance["direction"]
        files = (("scan", scan, scan_path), ("mask", provenance.get("mask"), mask_path))
        wanted = [(name, told["sha256"], path) for name, told, path in files if told is not None]
    except (KeyError, TypeError, ValueError) as err:
        raise InvalidRequest("This is not the provenance record of a job.") from err
    if not known:
        raise InvalidRequest("This provenance record is of another version.")
    if bench.card(model).sha256 != digest:
        raise InvalidRequest("The model's weights are not those of the provenance record.")
    if provenance.get("reference", {}).get("sha256") not in (None, bench.card(model).files.get(REFERENCE)):
        raise InvalidRequest("The model's reference of scans is not that of the provenance record.")
    for name, sha256, path in wanted:
        if path is None:
            raise InvalidRequest(f"A job that read a {name} is done again with it, and none was given.")
        if sha256_of(path) != sha256:
            raise InvalidRequest(f"The {name} is not the one of the provenance record.")
    return kind, {**request, "direction": direction, "placement": provenance.get("placement")}
