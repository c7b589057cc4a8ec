"""What an evaluation refuses. No torch: the command line knows it too."""

from model_store.faults import Refusal


class EvaluationRefused(Refusal):
    """The folders cannot be compared, or the features cannot be computed here."""
