"""What the training refuses. No torch: the command line knows it too."""

from model_store.faults import Refusal


class DataRefused(Refusal):
    """The data folder cannot be trained on, or the run does not fit what lies in its folder."""
