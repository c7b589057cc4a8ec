"""What the training refuses. No torch: the command line knows it too."""

from model_store.faults import Refusal


class DataRefused(Refusal):
    """The data folder cannot be trained on, or the run does not fit what lies in its folder."""


class Diverged(Refusal):
    """A gradient that is infinite or no number; what it would have done to the weights was not done."""
