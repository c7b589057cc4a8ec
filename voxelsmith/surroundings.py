"""What every command is given: the settings, read once, and where this user's data lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.results import ResultStore
from jobs.settings import Settings
from model_store.catalogue import SHIPPED, Catalogue


@dataclass(frozen=True)
class Surroundings:
    """Made by the command line's root; commands find it as `context.obj`."""

    settings: Settings
    data: Path
    """This user's data folder: the models imported without --models, and the queue and results of `serve`."""

    @property
    def models(self) -> Path:
        """The model folder beside the shipped one."""
        return self.settings.models_path or self.data / "models"

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue([self.models, SHIPPED])

    def store(self, data: Path | None) -> ResultStore:
        """The result store of a data folder of `serve`, by default this user's. Raises: StoreUnavailable."""
        return ResultStore(store_url(data or self.data))


def store_url(data: Path) -> str:
    """Where `serve` on a data folder keeps results and fitted directions."""
    return (data.resolve() / "store").as_uri()


def survey(environment: Mapping[str, str], models: str | None) -> Surroundings:
    """Raises: pydantic.ValidationError for a setting that does not fit."""
    given = environment.get("XDG_DATA_HOME", "")
    data = (Path(given) if given.startswith("/") else Path.home() / ".local" / "share") / "voxelsmith"
    models_url = str(Path(models.removeprefix("file://")).resolve()) if models else str(data / "models")
    return Surroundings(Settings(models_url=models_url), data)
