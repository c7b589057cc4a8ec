"""What a webhook says: which job ended how, and where its results are. No latents, nothing of the request."""

import json
from datetime import datetime
from typing import Any

from contract.state import JobRecord, ResultFile

CONTENT_TYPE = "application/json"


def message_id(job_id: str) -> str:
    """The same at every attempt: a job ends once."""
    return f"msg_{job_id}"


def body_of(record: JobRecord) -> bytes:
    """Of a job that has ended, the same at every attempt. Addresses are those of the record, without a host."""
    data = {
        "id": record.id,
        "kind": record.kind,
        "model": record.model,
        "model_sha256": record.model_sha256,
        "state": record.state.value,
        "url": f"/jobs/{record.id}",
        "created_at": _told(record.created_at),
        "started_at": _told(record.started_at),
        "ended_at": _told(record.ended_at),
        "expires_at": _told(record.expires_at),
        "error": record.error and record.error.model_dump(mode="json"),
        "results": [_file(entry) for entry in record.results],
        "files": [_file(entry) for entry in record.files],
    }
    body = {"type": f"job.{record.state.value}", "timestamp": _told(record.ended_at), "data": data}
    return json.dumps(body, separators=(",", ":")).encode()


def _file(entry: ResultFile) -> dict[str, Any]:
    return entry.model_dump(mode="json", include={"name", "url", "media_type", "size_bytes", "sha256"})


def _told(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
