"""A measuring process: writes the models of random weights, each below a folder of its own.

Of its own, because a worker loads the first model of its folder before it takes jobs.
"""

from pathlib import Path

from benchmarks.children import answer
from benchmarks.names import SERVED, TINY, model_name
from benchmarks.subjects import SUBJECTS


def write_models(
    models: str, subjects: list[str], sizes: list[int], width: int | None, latent: int | None
) -> dict[str, dict[str, list[int]]]:
    """Writes `models / name / name` for each subject and size, and the tiny one; gives their sizes per part.

    `subjects`: names; [] stands for all.
    """
    folder = Path(models)
    SUBJECTS[SERVED].write(folder / TINY[0], *TINY)
    found: dict[str, dict[str, list[int]]] = {"forward": {}, "encoder": {}}
    for subject in [SUBJECTS[name] for name in subjects or SUBJECTS]:
        for size in [size for size in sizes if size in subject.sizes]:
            name = model_name(subject.name, size)
            card = subject.write(folder / name, name, size, width or subject.width, latent or subject.latent)
            for part in ("forward", "encoder")[: 1 + card.has_encoder]:
                found[part].setdefault(subject.name, []).append(size)
    return found


if __name__ == "__main__":
    answer(write_models)
