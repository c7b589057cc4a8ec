"""Pictures below a notebook's cell, at once; of the extra `notebook`, and loaded by name (decision 6)."""

from collections.abc import Iterable

from IPython.core.getipython import get_ipython
from IPython.display import Image, display

from voxelsmith.problems import NoNotebook


def show(pictures: Iterable[tuple[str, bytes]]) -> None:
    """(caption, PNG) each, one below the other. Raises: NoNotebook."""
    if get_ipython() is None:
        raise NoNotebook("show() needs a notebook; preview() has the picture's bytes, and download() saves it")
    for caption, png in pictures:
        display({"text/plain": caption}, raw=True)
        display(Image(data=png, format="png"))
