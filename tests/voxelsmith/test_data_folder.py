"""The data folder is this user's alone, from the first command that makes it, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.settings import Settings
from voxelsmith.data_folder import DataFolderError, make_private
from voxelsmith.environment import Surroundings
from voxelsmith.local import Stack
from voxelsmith.queues import visited


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_whoever_makes_it_closes_it(tmp_path: Path) -> None:
    for name in ("keys", "store", "models"):
        place = Surroundings(Settings(models_url=str(tmp_path / name / "models")), tmp_path / name)
        if name == "keys":
            with visited(place, None):
                pass
        elif name == "store":
            place.store(None)
        else:
            place.open_models()
        assert mode(tmp_path / name) == 0o700


@pytest.mark.usefixtures("umask")
def test_serve_closes_one_that_was_open(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    with Stack(data, Settings(host="127.0.0.1", port=0)):
        assert mode(data) == 0o700
        assert mode(data / "queue") == 0o700


def test_one_that_all_share_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(DataFolderError, match="shared by all"):
        Stack(shared, Settings(port=0)).start()
    assert mode(shared) == 0o1777
    assert list(shared.iterdir()) == []
    with pytest.raises(DataFolderError, match="shared by all"):
        make_private(Path("/"))


def test_one_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 12345, 12345)
    with pytest.raises(DataFolderError, match="belongs to another user"):
        make_private(theirs)
