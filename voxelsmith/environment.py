"""What every command is given: the settings, read once, and where this user's data lies."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.results.bucket import Bucket
from jobs.results.store import ResultStore
from jobs.settings import Settings, is_bucket
from model_store.bucket import BucketShelf
from model_store.cache import FileCache
from model_store.catalogue import SHIPPED, Catalogue
from voxelsmith.data_folder import make_private

NO_MODELS = "there is no folder of models here"


@dataclass(frozen=True)
class Surroundings:
    """Made by the command line's root; commands find it as `context.obj`."""

    settings: Settings
    home: Path | None
    """`data`, where this user has a home."""

    @property
    def data(self) -> Path:
        """This user's data folder: the models imported without --models, and the queue and results of `serve`.

        Raises: FileNotFoundError without a home folder.
        """
        if self.home is None:
            told = "there is no home folder here; set HOME or XDG_DATA_HOME, or name the folder by --data or --models"
            raise FileNotFoundError(errno.ENOENT, told, "~")
        return self.home

    @property
    def models(self) -> Path:
        """The model folder beside the shipped one. Raises: FileNotFoundError without one and without a home folder."""
        return self.settings.models_path or self.data / "models"

    @property
    def usual_models(self) -> Path | None:
        """The model folder where none is named; it need not be there."""
        return None if self.home is None else (self.home / "models").resolve()

    @property
    def lacks_models(self) -> bool:
        """Whether a model folder was named that is not there; the usual one need not be."""
        named = self.settings.models_path
        return named is not None and named != self.usual_models and not named.is_dir()

    @property
    def catalogue(self) -> Catalogue:
        """Raises: FileNotFoundError where the model folder that was named is not there."""
        settings = self.settings
        if self.lacks_models:
            raise FileNotFoundError(errno.ENOENT, NO_MODELS, str(self.models))
        if is_bucket(settings.models_url):
            cache = FileCache(settings.model_cache, settings.model_cache_bytes)
            return Catalogue([BucketShelf(Bucket(settings.models_url), cache), SHIPPED])
        return Catalogue([*((settings.models_path,) if settings.models_path else ()), SHIPPED])

    def store(self, data: Path | None) -> ResultStore:
        """The result store of a data folder of `serve`, by default this user's.

        Raises: StoreUnavailable, DataFolderError.
        """
        folder = data or self.data
        make_private(folder)
        return ResultStore(store_url(folder))

    def open_models(self) -> Path:
        """`models`, to put one there; in this user's data folder it is this user's alone. Raises: DataFolderError."""
        if self.home is not None and self.models == self.usual_models:
            make_private(self.home)
        return self.models


def store_url(data: Path) -> str:
    """Where `serve` on a data folder keeps results and fitted directions."""
    return (data.resolve() / "store").as_uri()


def survey(environment: Mapping[str, str], models: str | None) -> Surroundings:
    """Raises: pydantic.ValidationError for a setting that does not fit."""
    home = _home(environment, "XDG_DATA_HOME", ".local/share")
    settings = Settings(models_url=models or (str(home / "models") if home else ""))
    changes: dict[str, object] = {}
    if settings.models_path is not None:
        changes["models_url"] = str(settings.models_path.resolve())
    cache = _home(environment, "XDG_CACHE_HOME", ".cache")
    if cache is not None and "model_cache" not in settings.model_fields_set:
        changes["model_cache"] = cache / "models"
    return Surroundings(settings.model_copy(update=changes), home)


def _home(environment: Mapping[str, str], variable: str, default: str) -> Path | None:
    """This user's folder of one kind, as the XDG rules have it; None for a user without a home, as in a container."""
    given = environment.get(variable, "")
    if given.startswith("/"):
        return Path(given) / "voxelsmith"
    if environment.get("HOME", "/") == "":
        return None
    try:
        return Path.home() / default / "voxelsmith"
    except RuntimeError:
        return None
