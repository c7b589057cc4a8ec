"""Names of the models that are measured. No torch here: the process that asks stays small."""

SERVED = "hagan"
"""The subject whose models the requests go to."""
WIDENED = "bench-brain-256"
"""The shipped demo model at full width (widened_hagan.py): its volumes pack as a trained model's do."""
SCORED = ("brain-demo-256", "head-style-128")
"""Shipped models whose volumes get a score."""
FULL_WIDTH = 64
"""Of MEGAN's networks, with six residual blocks."""
TINY = ("bench-tiny", 32, 4, 8)
"""Name, size, width and latent of the model whose volumes cost next to nothing."""


def model_name(subject: str, size: int) -> str:
    """Of the model of a subject, and of the folder around it."""
    return f"bench-{subject}-{size}"
