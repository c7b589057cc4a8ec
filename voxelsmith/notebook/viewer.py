"""A volume in three planes and in 3D in a notebook, by ipyniivue; of the extra `notebook`, and loaded by name."""

from ipyniivue import NiiVue, Volume


def view(name: str, data: bytes) -> NiiVue:
    """A widget with one volume. name: its file's, whose ending tells the format. data: the file's bytes."""
    widget = NiiVue()
    widget.load_volumes([Volume(name=name, data=data)])
    return widget
