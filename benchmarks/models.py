"""A measuring process: writes the models that are measured, each below a folder of its own.

Of its own, because a worker loads the first model of its folder before it takes jobs.
"""

from pathlib import Path

from benchmarks.children import answer
from benchmarks.names import SERVED, TINY, WIDENED, model_name
from benchmarks.subjects import SUBJECTS
from benchmarks.weights.widened_hagan import SIZE, write_widened


def write_models(
    models: str, subjects: list[str], sizes: list[int], width: int | None, latent: int | None
) -> dict[str, dict[str, list[int]]]:
    """Writes `models / name / name` for each subject and size, the tiny one, and at full width the widened demo.

    Gives the sizes per part and subject; for the requests, per model.
    `subjects`: names; [] stands for all.
    """
    folder = Path(models)
    SUBJECTS[SERVED].write(folder / TINY[0], *TINY)
    found: dict[str, dict[str, list[int]]] = {"forward": {}, "encoder": {}, "request": {}}
    for subject in [SUBJECTS[name] for name in subjects or SUBJECTS]:
        for size in [size for size in sizes if size in subject.sizes]:
            name = model_name(subject.name, size)
            card = subject.write(folder / name, name, size, width or subject.width, latent or subject.latent)
            for part in ("forward", "encoder")[: 1 + card.has_encoder]:
                found[part].setdefault(subject.name, []).append(size)
            if subject.name == SERVED:
                if size == SIZE and not (width or latent):
                    write_widened(folder / WIDENED, WIDENED, subject.width, subject.latent)
                    found["request"][WIDENED] = [size]
                found["request"][name] = [size]
    return found


if __name__ == "__main__":
    answer(write_models)
