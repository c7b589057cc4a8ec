"""Where a data set's volumes lie and what lies beside them: one row per layout."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volumes.formats import BY_NAME
from volumes.whole_file import taking_the_place_of
from voxelsmith.dataset.folder import Row, write_json
from voxelsmith.dataset.plan import Plan

BIDS_VERSION = "1.10.0"
SYNTHETIC = "Synthetic: made by a generative model, of no person."
_README = """# {name}

{synthetic} No participant is a person: each of the {count} is one seed of a random latent, told in participants.tsv.

{model}. What each volume was made with stands in its sidecar, and manifest.csv has the SHA-256 of every file.
"""
NO_LABELS = "There are no labels: what nnU-Net is to learn has to be drawn into labelsTr first."


@dataclass(frozen=True)
class Arrangement:
    """`place`: of the volume of a row, from the folder. `describe`: writes all but volumes and manifests."""

    place: Callable[[Plan, int], str]
    describe: Callable[[Plan, Sequence[Row], Path], None]


def _ending(plan: Plan) -> str:
    return BY_NAME[plan.output.format].endings[0]


def _plain(plan: Plan, index: int) -> str:
    label = plan.class_of(index)
    kind = "" if label is None else "_class-" + "".join(sign if sign.isalnum() else "-" for sign in label)
    return f"{index:06d}_seed-{plan.seed + index}{kind}{_ending(plan)}"


def _bids(plan: Plan, index: int) -> str:
    """`rec-` and not `desc-`: validators before 2 know the names of raw data alone."""
    subject = f"sub-{index:06d}"
    return f"{subject}/anat/{subject}_rec-synthetic_{plan.suffix}{_ending(plan)}"


def _nnunet(plan: Plan, index: int) -> str:
    return f"imagesTr/{_case(plan)}_{index:06d}_0000{_ending(plan)}"


def _case(plan: Plan) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in plan.model)


def _describe_nothing(plan: Plan, rows: Sequence[Row], root: Path) -> None:
    """The manifests say it all."""


def _describe_bids(plan: Plan, rows: Sequence[Row], root: Path) -> None:
    """A derivative data set: BIDS knows no other place for volumes that no scanner took."""
    name = f"Synthetic volumes of {plan.model}"
    versions = {str(row["made_with"]["software"]): None for row in rows}
    told = f"Generative model {plan.model}, SHA-256 {plan.model_sha256}"
    description = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "voxelsmith", "Version": version, "Description": told} for version in versions],
    }
    write_json(root / "dataset_description.json", description)
    columns = ["seed", *(["class"] if plan.classes else []), *(measure.column for measure in plan.measures)]
    write_table(
        root / "participants.tsv",
        ["participant_id", *columns],
        [{"participant_id": f"sub-{row['index']:06d}", **row} for row in rows],
        delimiter="\t",
    )
    known = {"seed": "Seed of the random latent that the volume was made from.", "class": "Class asked of the model."}
    levels = {column: {"Description": known.get(column, "Measured in the volume.")} for column in columns}
    write_json(root / "participants.json", levels)
    _write_text(root / "README.md", _README.format(name=name, synthetic=SYNTHETIC, model=told, count=len(rows)))
    _write_text(root / ".bidsignore", "manifest.csv\nmanifest.json\n")
    for row in rows:
        sidecar = str(row["file"]).removesuffix(_ending(plan)) + ".json"
        write_json(root / sidecar, _sidecar(plan, row))


def _sidecar(plan: Plan, row: Mapping[str, Any]) -> dict[str, Any]:
    told = {"Seed": row["seed"], "Class": row["class"], "Truncation": plan.truncation, "SHA256": row["sha256"]}
    return {
        "Description": SYNTHETIC,
        "Synthetic": True,
        "SkullStripped": plan.anatomy == "brain",
        "Model": plan.model,
        "ModelSHA256": plan.model_sha256,
        "MadeWith": row["made_with"],
    } | {name: value for name, value in told.items() if value is not None}


def _describe_nnunet(plan: Plan, rows: Sequence[Row], root: Path) -> None:
    write_json(
        root / "dataset.json",
        {
            "name": plan.model,
            "description": f"{SYNTHETIC} {NO_LABELS}",
            "channel_names": {"0": plan.modality or "image"},
            "labels": {"background": 0},
            "numTraining": len(rows),
            "file_ending": _ending(plan),
        },
    )


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Row], delimiter: str = ",") -> None:
    """Whole or not at all. Raises: OSError."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=delimiter, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    _write_text(path, text.getvalue())


def _write_text(path: Path, text: str) -> None:
    with taking_the_place_of(path) as file:
        file.write(text.encode())


LAYOUTS: Mapping[str, Arrangement] = {
    "plain": Arrangement(_plain, _describe_nothing),
    "bids": Arrangement(_bids, _describe_bids),
    "nnunet": Arrangement(_nnunet, _describe_nnunet),
}
