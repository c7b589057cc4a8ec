"""Charge: what a job takes of the limits of the API key that it belongs to."""

from dataclasses import dataclass

from contract.errors import QuotaExceeded
from jobs.settings import Settings

NOBODY = ""
"""The owner of jobs that were posted without a key. It has no limits of its own."""


@dataclass(frozen=True)
class Charge:
    """Whose job it is, and how much of the owner's limits it needs before it has made anything."""

    owner: str = NOBODY
    samples: int = 1
    uploaded_bytes: int = 0


def refusal(limit: str, settings: Settings) -> QuotaExceeded:
    """The error for the limit that submit.lua names: jobs, samples, bytes, ..."""
    said = {
        "jobs": f"This key may have at most {settings.key_max_jobs} jobs that have not ended.",
        "samples": f"This key may have at most {settings.key_max_samples} samples in jobs that have not ended.",
        "memory": f"The records of this key may take at most {settings.key_max_memory_bytes} bytes of the queue's "
        "memory; remove jobs that have ended.",
        "directions": f"This key may have at most {settings.key_max_directions} directions; remove some.",
        "webhooks": f"This key may have at most {settings.key_max_webhooks} jobs whose webhooks are not delivered.",
        "bytes": f"This key may have at most {settings.key_max_bytes} bytes stored; remove jobs that have ended.",
    }
    return QuotaExceeded(said[limit])
