"""Folders as model hubs have them: a weight file, whatever its name is, and perhaps a config beside it. No torch."""

from pathlib import Path

from model_store.importers.jail import ImportRefused

_ENDINGS = ({".safetensors"}, {".pth", ".pt", ".ckpt", ".bin"})
"""The first kind that is there counts: many folders hold the same weights twice."""
_CONFIGS = ("configs.json", "config.json")


def weights_in(path: Path) -> Path:
    """The weight file that is meant: the one of a folder; what is no folder is itself.

    Raises:
        ImportRefused: the folder holds none, or several.
    """
    if not path.is_dir():
        return path
    for endings in _ENDINGS:
        found = [file for file in sorted(path.iterdir()) if file.suffix in endings and file.is_file()]
        if len(found) == 1:
            return found[0]
        if found:
            raise ImportRefused(f"The folder holds {len(found)} weight files; name the one that is meant.")
    raise ImportRefused("The folder holds no weight file: none that ends in .safetensors, .pth, .pt, .ckpt or .bin.")


def config_in(path: Path) -> Path | None:
    """The config of a folder, where there is one."""
    return next((path / name for name in _CONFIGS if (path / name).is_file()), None)
