"""What a folder of scans shows: CT or MR, guessed from values, and sequences, from file names."""

import re
from collections.abc import Mapping
from typing import Literal

from training.engine.errors import DataRefused
from training.engine.survey import ScanFacts, Survey

Guess = Literal["CT", "MR", "unclear"]
AIR_HU = -200.0
"""A CT has air about the body or in it: at least a hundredth of its values lies below this. No MR goes there."""
FEW = 3
"""Names that a sentence shows."""
SEQUENCES = {
    "flair": "FLAIR", "t2flair": "FLAIR", "t1": "T1", "t1w": "T1", "mprage": "T1", "t1ce": "T1 with contrast",
    "t1gd": "T1 with contrast", "t1c": "T1 with contrast", "t2": "T2", "t2w": "T2", "pd": "PD", "pdw": "PD",
    "dwi": "DWI", "adc": "ADC", "swi": "SWI", "bold": "BOLD", "ct": "CT", "pet": "PET",
}  # fmt: skip


def guess(facts: ScanFacts) -> Guess:
    """By the values alone: those of a CT go far below 0, of an MR never."""
    if facts.quantiles[1] <= AIR_HU:
        return "CT"
    return "MR" if facts.quantiles[0] >= 0 else "unclear"


def by_guess(survey: Survey) -> dict[str, list[str]]:
    """File names by what their scans look like."""
    found: dict[str, list[str]] = {}
    for name, facts in survey.scans.items():
        found.setdefault(guess(facts), []).append(name)
    return found


def modality_of(survey: Survey) -> str:
    """The one that all scans look like.

    Raises:
        DataRefused: they do not; it says what to type.
    """
    found = by_guess(survey)
    if len(found) == 1 and "unclear" not in found:
        return next(iter(found))
    if "CT" in found and "MR" in found:
        raise DataRefused(
            f"the folder mixes scans that look like {listed(found)}: keep one kind in it, or type --modality CT or "
            "--modality MR to train on all of them as that"
        )
    raise DataRefused(
        f"the values do not tell what the scans are, {listed(found)}: type --modality CT if they are in HU, "
        "or --modality MR, which takes quantiles of each scan"
    )


def listed(found: Mapping[str, list[str]]) -> str:
    """CT (a.nii, b.nii and 3 more) and MR (c.nii)."""
    parts = []
    for kind, names in found.items():
        more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
        parts.append(f"{kind} ({', '.join(names[:FEW])}{more})")
    return " and ".join(parts)


def sequences_in(names: list[str]) -> dict[str, list[str]]:
    """File names by the sequence that they speak of, as in sub-01_T1w.nii.gz; those that speak of none are left out."""
    found: dict[str, list[str]] = {}
    for name in names:
        words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word in SEQUENCES]
        spoken = {SEQUENCES[word] for word in words}
        kind = "FLAIR" if "FLAIR" in spoken else next(iter(sorted(spoken)), None)
        if kind is not None:
            found.setdefault(kind, []).append(name)
    return found
