"""Names of the models of random weights. No torch here: the process that asks stays small."""

SERVED = "hagan"
"""The subject whose models the requests go to."""
TINY = ("bench-tiny", 32, 4, 8)
"""Name, size, width and latent of the model whose volumes cost next to nothing."""


def model_name(subject: str, size: int) -> str:
    """Of the model of a subject, and of the folder around it."""
    return f"bench-{subject}-{size}"
