"""Models in an S3 bucket: listed from their cards, fetched once per host by their digests, never trusted blindly."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import model_store.bucket
from contract.errors import ModelBroken
from jobs.results.bucket import Bucket
from jobs.settings import Settings
from model_store.bucket import BucketShelf
from model_store.cache import FileCache
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.faults import FolderFault, UnreadableModel
from tests.support.buckets import S3, s3, s3_server  # noqa: F401
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import eventually
from tests.support.service_fixtures import serving, write_direction
from voxelsmith.cli import app
from workers.bench import Bench
from workers.main import catalogue_of
from workers.process import NotYet, UnfitWorker


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_store.bucket, "LOOK_S", 0.05)


@pytest.fixture
def card(s3: S3, tmp_path: Path) -> ModelCard:
    """A model in the bucket, with a direction."""
    card = write_tiny_hagan(tmp_path / "made", "tiny")
    write_direction(tmp_path / "made" / "tiny", card, "shipped-one")
    upload(s3, tmp_path / "made" / "tiny")
    return card


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache", 2**30)


@pytest.fixture
def catalogue(s3: S3, card: ModelCard, cache: FileCache) -> Catalogue:
    return Catalogue([BucketShelf(Bucket(s3.url), cache)])


def upload(s3: S3, folder: Path) -> None:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        s3.put(f"{folder.name}/{path.relative_to(folder)}", path.read_bytes())


def test_a_worker_serves_a_model_of_a_bucket(catalogue: Catalogue, card: ModelCard, tmp_path: Path) -> None:
    bench = Bench(catalogue, threads=1)
    generator = bench.generator("tiny")
    assert generator.card == card
    assert [direction["name"] for direction in catalogue.directions("tiny")] == ["shipped-one"]
    (file,) = (tmp_path / "cache").glob("*/file")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == file.parent.name == card.sha256
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["file"]


def test_once_fetched_it_is_read_from_the_host(catalogue: Catalogue, s3: S3) -> None:
    Bench(catalogue, threads=1).generator("tiny")
    s3.gate.turn("shut")
    assert Bench(catalogue, threads=1).generator("tiny").card.name == "tiny"


def test_a_damaged_file_of_the_cache_is_fetched_anew(catalogue: Catalogue, card: ModelCard, tmp_path: Path) -> None:
    with catalogue.files("tiny"):
        pass
    file = tmp_path / "cache" / card.sha256 / "file"
    with file.open("r+b") as damaged:
        damaged.seek(100)
        damaged.write(b"\xff\xfe\xfd")
    with catalogue.files("tiny") as folder:
        assert hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest() == card.sha256


def test_weights_that_are_not_what_the_card_says_are_refused(catalogue: Catalogue, s3: S3, tmp_path: Path) -> None:
    size = len(s3.get("tiny/weights.safetensors"))
    s3.put("tiny/weights.safetensors", os.urandom(size))
    bench = Bench(catalogue, threads=1)
    with pytest.raises(ModelBroken, match="sha256"):
        bench.generator("tiny")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.fault
def test_a_bucket_away_is_a_passing_failure(catalogue: Catalogue, s3: S3) -> None:
    assert catalogue.card("tiny")
    s3.gate.turn("shut")
    with pytest.raises(UnreadableModel), catalogue.files("tiny"):
        pass
    s3.gate.turn("open")
    with catalogue.files("tiny"):
        pass


def test_changes_show_and_a_broken_model_stops_no_other(catalogue: Catalogue, s3: S3, tmp_path: Path) -> None:
    assert [card.name for card in catalogue.cards()] == ["tiny"]
    s3.put("cardless/weights.safetensors", b"x")
    write_tiny_hagan(tmp_path / "made", "late", seed=5)
    s3.put("late/card.json", (tmp_path / "made" / "late" / "card.json").read_bytes())
    eventually(lambda: catalogue.broken().get("late") == "weights.safetensors is missing")
    assert catalogue.broken()["cardless"] == "card.json is missing"
    upload(s3, tmp_path / "made" / "late")
    eventually(lambda: [card.name for card in catalogue.cards()] == ["late", "tiny"])


def test_several_processes_fetch_a_file_once(s3: S3, card: ModelCard, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from jobs.results.bucket import Bucket;"
        "from model_store.bucket import BucketShelf; from model_store.cache import FileCache;"
        "from model_store.catalogue import Catalogue;"
        "shelf = BucketShelf(Bucket(sys.argv[1]), FileCache(Path(sys.argv[2]), 2**30));"
        "held = Catalogue([shelf]).files('tiny'); folder = held.__enter__();"
        "print((folder / 'weights.safetensors').resolve().stat().st_ino); held.__exit__(None, None, None)"
    )
    command = [sys.executable, "-c", program, s3.url, str(tmp_path / "cache")]
    env = {**os.environ, **s3.environment}
    started = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    inodes = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(inodes)) == 1


def body(number: int) -> bytes:
    return bytes([number]) * 1000


def names(number: int) -> dict[str, str]:
    return {"file": hashlib.sha256(body(number)).hexdigest()}


def fetch(number: int) -> Iterator[bytes]:
    yield body(number)


def test_the_least_recently_used_go_first_and_what_is_held_stays(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 2500)
    with cache.holding(names(1), lambda _: fetch(1)) as held:
        for number in (2, 3, 4):
            with cache.holding(names(number), lambda _, number=number: fetch(number)):
                pass
        assert (held / "file").read_bytes() == body(1)
    kept = {path.parent.name for path in tmp_path.glob("*/file")}
    assert kept == {names(1)["file"], names(4)["file"]}


def test_holders_do_not_wait_for_one_another(tmp_path: Path) -> None:
    cache, inside = FileCache(tmp_path, 10**6), threading.Barrier(2, timeout=60)

    def hold() -> None:
        with cache.holding(names(1), lambda _: fetch(1)):
            inside.wait()

    other = threading.Thread(target=hold)
    other.start()
    hold()
    other.join()
    assert not inside.broken


def test_a_digest_that_is_none_leads_nowhere(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 10**6)
    with pytest.raises(FolderFault), cache.holding({"file": "../../elsewhere"}, lambda _: fetch(1)):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_front_end_lists_models_of_a_bucket(s3: S3, card: ModelCard, settings: Settings) -> None:
    with serving(settings.model_copy(update={"port": 0, "models_url": s3.url})) as api:
        assert api.http.get("/models/tiny").json()["sha256"] == card.sha256
        assert [entry["name"] for entry in api.http.get("/models/tiny/directions").json()["items"]] == ["shipped-one"]
        s3.gate.turn("hole")
        assert api.http.get("/models/tiny").status_code == 200
        assert api.submit()


def test_a_bucket_that_never_answered_makes_no_model_unknown(
    s3: S3, card: ModelCard, settings: Settings, tmp_path: Path
) -> None:
    s3.gate.turn("shut")
    own = settings.model_copy(update={"port": 0, "models_url": s3.url, "model_cache": tmp_path / "cache"})
    with pytest.raises(NotYet):
        catalogue_of(own)
    with serving(own) as api:
        for answer in (api.http.get("/models/tiny"), api.post("/generate", {"model": "tiny", "seed": 1})):
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert api.http.get("/models/head-style-128").status_code == 200, "shipped models are there"
        s3.gate.turn("open")
        eventually(lambda: api.http.get("/models/tiny").status_code == 200)
        assert api.http.get("/models/never").status_code == 404


def test_a_worker_without_a_place_for_models_says_so(s3: S3, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    own = settings.model_copy(update={"models_url": s3.url, "model_cache": tmp_path / "file" / "cache"})
    with pytest.raises(UnfitWorker, match="VOXELSMITH_MODEL_CACHE"):
        catalogue_of(own)


def test_a_fetch_waits_out_a_short_absence(tmp_path: Path) -> None:
    tries = iter((OSError("away"), OSError("away"), None))

    def fetch_at_last(_name: str) -> Iterator[bytes]:
        trouble = next(tries)
        if trouble is not None:
            raise trouble
        return fetch(1)

    with FileCache(tmp_path, 10**6, patience_s=30).holding(names(1), fetch_at_last) as folder:
        assert (folder / "file").read_bytes() == body(1)


def test_the_command_line_verifies_a_bucket_and_reads_percent_signs(
    s3: S3, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["--models", s3.url, "models", "verify", "tiny"])
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "home" / "voxelsmith" / "models").glob("*/file"))
    folder = tmp_path / "with space"
    write_tiny_hagan(folder, "spaced")
    done = CliRunner().invoke(app, ["--models", folder.as_uri(), "models", "show", "spaced"])
    assert done.exit_code == 0, done.output
    assert Settings(models_url=folder.as_uri()).models_path == folder
    assert Settings(models_url=f"{tmp_path}/100%25").models_path == tmp_path / "100%25"
