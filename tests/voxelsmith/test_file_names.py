"""What files are called under --out: by what they hold, the same by a server as here, and no two alike."""

from typing import Any

import pytest

from voxelsmith.commands.told.report import _OF_A_JOB
from voxelsmith.file_names import Names, names_of

MOVE = {"op": "move", "direction": "head-size", "strengths": [-3.0, 0.0, 1.5]}
TARGET = {"op": "target", "direction": "lung", "values": [4.2]}
WALK = {"op": "interpolate", "target": {"seed": 5}, "steps": 10}
MIX = {"op": "mix", "target": {"seed": 2}, "crossover": 7}
SEED, LATENT = {"seed": 1}, {"latent": [0.5], "space": "z"}


@pytest.mark.parametrize(
    ("kind", "request_", "facts", "stem"),
    [
        ("generate", {"seed": 3}, {"latent": {"seed": 3}}, "seed-3"),
        ("generate", {"seed": 3, "truncation": 0.8}, {"latent": LATENT}, "seed-3_truncation-0.8"),
        ("generate", {"seed": 3, "class_label": "a/b"}, {"latent": {"seed": 3}}, "seed-3_class-a-b"),
        ("generate", {"seed": 3}, {"latent": {"seed": 3}, "noise_seed": 9}, "seed-3_noise-9"),
        ("generate", {"latents": [[0.5]]}, {"latent": LATENT}, "latent-0"),
        ("edit", {"source": SEED, "edit": MOVE}, {"label": "strength=-3"}, "seed-1_head-size_strength-3"),
        ("edit", {"source": SEED, "edit": MOVE}, {"label": "strength=1.5"}, "seed-1_head-size_strength+1.5"),
        ("edit", {"source": LATENT, "edit": TARGET}, {"label": "target=4.2"}, "latent_lung_target+4.2"),
        ("edit", {"source": SEED, "edit": WALK}, {"label": "step=2/10"}, "seed-1_to-seed-5_step-02-of-10"),
        ("edit", {"source": SEED, "edit": MIX}, {"label": "crossover=7"}, "seed-1_mix-seed-2_crossover-7"),
        ("encode", {}, {"label": "reconstruction"}, "reconstruction_model-grid"),
        ("encode", {}, {"label": "reconstruction-scan-grid"}, "reconstruction_scan-grid"),
        ("translate", {}, {}, "translated"),
    ],
)
def test_a_file_is_named_by_what_it_holds(
    kind: str, request_: dict[str, Any], facts: dict[str, Any], stem: str
) -> None:
    assert Names(kind, request_)(0, facts) == stem
    assert _OF_A_JOB.fullmatch(f"{stem}.nii.gz")


def test_of_an_edit_on_a_scan_both_grids_are_named() -> None:
    request = {"source": {"job": "abcdef0123456789", "index": 0}, "edit": MOVE}
    results = [
        {"index": k, "name": f"00{k}.nii.gz", "preview": f"00{k}.png", "label": label}
        for k, label in enumerate(["strength=-3", "strength=-3 scan-grid"])
    ]
    record = {"kind": "edit", "request": request, "placement": {"scan_shape": [1, 1, 1]}, "results": results}
    first, second = ("job-abcdef01-0_head-size_strength-3_" + grid for grid in ("model-grid", "scan-grid"))
    assert names_of(record) == {
        "000.nii.gz": f"{first}.nii.gz",
        "000.png": f"{first}.png",
        "001.nii.gz": f"{second}.nii.gz",
        "001.png": f"{second}.png",
    }


def test_two_results_that_hold_the_same_have_two_names() -> None:
    names = Names("generate", {"seeds": [1, 1]})
    assert [names(k, {"latent": {"seed": 1}}) for k in range(2)] == ["seed-1", "seed-1_2"]
