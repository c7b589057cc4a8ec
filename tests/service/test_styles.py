"""A style model through the whole service, with a real worker: what fits is made, what does not is told why."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.settings import Settings
from model_store.card import TruncationSpec
from tests.support.models.stylegan3d_pickles import generator
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_stylegan import write_stylegan
from tests.support.models.tiny_stylegan3d import write_stylegan3d
from tests.support.ready import await_ready
from voxelsmith import Client
from voxelsmith.local import Stack
from voxelsmith.problems import Unprocessable

pytestmark = pytest.mark.timeout(240)
FLOATS = {"format": "npy", "dtype": "float32"}
SEED = {"seed": 1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("styles")
    write_stylegan(folder / "models", "styles", truncation=TruncationSpec(kind="psi", default=0.8))
    write_stylegan3d(folder / "models", "classes", generator(num_classes=3), truncation=TruncationSpec(kind="psi"))
    write_tiny_hagan(folder / "models", "plain")
    with Stack(folder / "data", Settings(models_url=str(folder / "models"), port=0, threads=1)) as stack:
        await_ready(stack.url)
        with Client(stack.url) as found:
            yield found


def _array(client: Client, record: dict[str, Any], index: int = 0) -> np.ndarray:
    return np.load(io.BytesIO(client.read(record["results"][index]["url"])))


def _edited(client: Client, **fields: Any) -> dict[str, Any]:
    job = client.edit(**({"model": "styles", "source": SEED, "output": FLOATS} | fields))
    return job.wait().record


def test_a_scan_is_inverted_mixed_truncated_and_made_again(client: Client, tmp_path: Path) -> None:
    noisy = {"noise": "random", "noise_seed": 4}
    made = client.generate(model="styles", seed=1, truncation=0.5, **noisy, output={"format": "nii"}).wait()
    (result,) = made.record["results"]
    assert result["noise_seed"] == 4
    assert result["latent"]["space"] == "w"
    made.download(tmp_path)
    encoded = client.encode(tmp_path / "000.nii", model="styles", refine_steps=5, reconstruct=True).wait()
    assert np.shape(encoded.record["latents"]) == (1, 6, 8)
    losses = encoded.record["metrics"]["refine_loss"]
    assert len(losses) == 6
    assert losses == sorted(losses, reverse=True)
    mix = {"op": "mix", "target": {"job": made.id}, "crossover": 4}
    mixed = _edited(client, source={"job": encoded.id}, edit=mix, **noisy)
    first, second = np.array(encoded.record["latents"][0]), np.array([result["latent"]["latent"]] * 6)
    assert np.allclose(mixed["results"][0]["latent"]["latent"], np.concatenate([first[:4], second[4:]]), atol=1e-6)
    again = client.generate(
        model="styles", latents=[mixed["results"][0]["latent"]["latent"]], latent_space="w", output=FLOATS, **noisy
    ).wait()
    assert np.array_equal(_array(client, again.record), _array(client, mixed))


def test_random_noise_is_drawn_by_the_server_and_told(client: Client) -> None:
    latents = {"model": "styles", "latents": [[0.1] * 8, [0.2] * 8], "noise": "random", "output": FLOATS}
    record = client.submit("generate", latents).wait().record
    drawn = record["request"]["noise_seed"]
    assert [entry["noise_seed"] for entry in record["results"]] == [drawn, drawn + 1]
    repeated = client.submit("generate", latents | {"noise_seed": drawn}).wait().record
    assert np.array_equal(_array(client, repeated, 1), _array(client, record, 1))


def test_directions_of_a_style_model_live_in_w(client: Client) -> None:
    client.fit_direction("styles", {"method": "sefa", "name_prefix": "free", "count": 2}).wait()
    assert [entry["space"] for entry in client.directions("styles")] == ["w", "w"]
    assert [entry["stale"] for entry in client.directions("styles")] == [False, False]
    moved = _edited(client, edit={"op": "move", "direction": "free-2", "strengths": [0.0, 2.0]})
    plain = client.generate(model="styles", seed=1, output=FLOATS).wait().record
    assert np.array_equal(_array(client, moved), _array(client, plain))
    assert not np.array_equal(_array(client, moved, 1), _array(client, plain))


def _mix(crossover: int, target: Any = None) -> dict[str, Any]:
    return {"op": "mix", "target": target or SEED, "crossover": crossover}


W = {"latent": [[0.0] * 8] * 6, "space": "w"}
REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "mix without styles": ("edit", {"model": "plain", "source": SEED, "edit": _mix(1)}, "/edit/op", "no styles"),
    "crossover": ("edit", {"model": "styles", "source": SEED, "edit": _mix(7)}, "/edit/crossover", "0 to 6"),
    "far crossover": ("edit", {"model": "styles", "source": SEED, "edit": _mix(999)}, "/edit/crossover", "0 to 6"),
    "crossover below 0": ("edit", {"model": "styles", "source": SEED, "edit": _mix(-1)}, "/edit/crossover", "0"),
    "mix with z": (
        "edit",
        {"model": "styles", "source": W, "edit": _mix(1, {"latent": [0.0] * 9})},
        "/edit/target/latent",
        "8 numbers",
    ),
    "too few styles": (
        "edit",
        {"model": "styles", "source": W | {"latent": [[0.0] * 8] * 5}, "edit": _mix(1)},
        "/source/latent",
        "6 lists of 8",
    ),
    "short styles": (
        "generate",
        {"model": "styles", "latents": [[[0.0] * 7] * 6], "latent_space": "w"},
        "/latents/0",
        "6 lists of 8",
    ),
    "styles as z": ("generate", {"model": "styles", "latents": [[[0.0] * 8] * 6]}, "/latents/0", "8 numbers"),
    "w without styles": (
        "generate",
        {"model": "plain", "latents": [[0.0] * 8], "latent_space": "w"},
        "/latents/0",
        "z",
    ),
    "psi": ("generate", {"model": "styles", "seed": 1, "truncation": 1.5}, "/truncation", "0 to 1"),
    "psi below 0": ("generate", {"model": "styles", "seed": 1, "truncation": -0.1}, "/truncation", "0"),
    "cutoff": ("generate", {"model": "styles", "seed": 1, "truncation_cutoff": 7}, "/truncation_cutoff", "1 to 6"),
    "cutoff of z": ("generate", {"model": "plain", "seed": 1, "truncation_cutoff": 1}, "/truncation_cutoff", "level"),
    "cutoff alone": (
        "generate",
        {"model": "classes", "seed": 1, "class_label": 0, "truncation_cutoff": 2},
        "/truncation_cutoff",
        "psi",
    ),
    "label": ("generate", {"model": "styles", "seed": 1, "class_label": 0}, "/class_label", "no classes"),
    "no label": ("generate", {"model": "classes", "seed": 1}, "/class_label", "class-0, class-1, class-2"),
    "noise seed": ("generate", {"model": "styles", "seed": 1, "noise_seed": 3}, "", "noise random"),
    "noise": ("edit", {"model": "styles", "source": SEED, "edit": _mix(1), "noise": "some"}, "/noise", "'constant'"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_the_styles_is_refused_with_what_would(
    client: Client, row: tuple[str, dict[str, Any], str, str]
) -> None:
    kind, body, pointer, told = row
    with pytest.raises(Unprocessable) as caught:
        client.submit(kind, body)
    ((found, detail),) = caught.value.errors
    assert found == pointer
    assert told in detail


def test_a_style_of_a_conditional_model_needs_no_class(client: Client) -> None:
    """It holds one already."""
    made = client.generate(model="classes", seed=3, class_label=2, truncation=0.7, output=FLOATS).wait().record
    source = made["results"][0]["latent"]
    again = client.generate(model="classes", latents=[source["latent"]], latent_space="w", output=FLOATS).wait().record
    assert np.array_equal(_array(client, again), _array(client, made))


def test_a_jobs_sample_is_not_truncated_a_second_time(client: Client) -> None:
    made = client.generate(model="styles", seed=1, truncation=0.5).wait()
    body = {"model": "styles", "source": {"job": made.id}, "edit": _mix(2)}
    with pytest.raises(Unprocessable) as caught:
        client.submit("edit", body | {"truncation": 0.5})
    assert caught.value.errors[0][0] == "/truncation"
    assert client.submit("edit", body).wait().record["state"] == "succeeded"


def test_the_accepted_request_is_json_that_makes_the_same_again(client: Client) -> None:
    first = client.generate(model="styles", noise="random", output=FLOATS).wait().record
    again = client.submit("generate", json.loads(json.dumps(first["request"]))).wait().record
    assert np.array_equal(_array(client, first), _array(client, again))
