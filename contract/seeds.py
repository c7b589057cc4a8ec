"""Chance, spelt out: what a request leaves to chance is drawn once, when it is accepted, and stored with it."""

import secrets
from typing import Any

from contract.requests import AnyRequest, EditRequest, GenerateRequest, SeedSource


def settled(request: AnyRequest) -> AnyRequest:
    """The request with its number of samples, its seed and its noise seed filled in; the same again when settled twice.

    Random noise (docs/decisions/0020): a sample made from a seed takes that seed for its noise too, unless the request
    names a `noise_seed`; for samples from latents one is drawn.
    """
    if isinstance(request, GenerateRequest):
        changes: dict[str, Any] = {"num_samples": request.count}
        seed = request.seed
        if seed is None and request.seeds is None and request.latents is None:
            seed = changes["seed"] = secrets.randbits(32)
        if request.noise == "random" and request.noise_seed is None and request.seeds is None:
            changes["noise_seed"] = secrets.randbits(32) if seed is None else seed
        return request.model_copy(update=changes)
    if isinstance(request, EditRequest) and request.noise == "random" and request.noise_seed is None:
        drawn = request.source.seed if isinstance(request.source, SeedSource) else secrets.randbits(32)
        return request.model_copy(update={"noise_seed": drawn})
    return request
