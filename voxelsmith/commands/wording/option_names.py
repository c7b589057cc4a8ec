"""Refusals in the command line's own words: the option to change, not the field of the HTTP body."""

import re

_OPTIONS = {
    "class_label": "--class",
    "output": "",
    "output/grid": "--spacing, --shape or --like",
    "preprocess": "",
    "fit": "",
    "edit/target": "--to-seed, --to-latent or --mix-with",
    "edit/direction": "--direction",
    "edit/strengths": "--strengths",
    "edit/values": "--values",
    "edit/max_strength": "--max-strength",
    "edit/steps": "--steps",
    "edit/crossover": "--crossover",
    "source/seed": "--seed",
    "source/latent": "--latent",
    "source/space": "--latent",
    "source/job": "--from-job",
    "source/index": "--index",
    "source": "--seed, --latent or --from-job",
    "name_prefix": "--sefa",
    "measure": "--measure",
    "measure/name": "--measure",
    "measure/threshold": "--threshold",
    "volume": "SCAN",
    "mask": "--mask",
}
"""By the first parts of a pointer; "" where what follows is the option's name."""
_PLAIN = frozenset(
    {
        *("model", "seed", "seeds", "latents", "latent_space", "num_samples", "truncation"),
        *("truncation_cutoff", "noise", "noise_seed", "format", "dtype", "intensity", "preview"),
        *("refine_steps", "reconstruct", "window", "orientation", "trim_blank_slices", "edges", "grid"),
        *("crop", "name", "attribute", "count", "reject_below", "score", "webhook"),
    }
)
"""Fields whose options have their names."""
_WORDS = re.compile(
    r"\b(num_samples|latent_space|truncation_cutoff|noise_seed|class_label|refine_steps|max_strength|reject_below)\b"
)
_SEVERAL = re.compile(r"\b(seeds?|latents)\b")


def by_option(pointer: str, detail: str) -> str:
    """A refusal's pointer and its reason in one sentence: "--strengths: must be at most 64 numbers"."""
    option = option_of(pointer)
    if not option:
        return in_options(_SEVERAL.sub(r"--\1", detail) if detail.startswith("give one of seed") else detail)
    return f"{option}: {in_options(detail)}"


def option_of(pointer: str) -> str:
    """The option that a JSON pointer into a request stands for; the field itself where no option does; "" for none."""
    parts = [part for part in pointer.split("/") if part and not part.isdecimal()]
    for length in (2, 1):
        option = _OPTIONS.get("/".join(parts[:length]))
        if option:
            return option
        if option == "" and len(parts) > 1:
            return option_of("/".join(parts[1:]))
    name = parts[0] if parts else ""
    return "--" + name.replace("_", "-") if name in _PLAIN else ".".join(parts)


def in_options(text: str) -> str:
    """Names of fields as the options that they are."""
    return _WORDS.sub(lambda found: "--class" if found[0] == "class_label" else "--" + found[0].replace("_", "-"), text)
