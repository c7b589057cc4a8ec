"""Whether a request fits a model's card. No torch, and no import of the request classes: attributes are enough."""

from collections.abc import Iterator
from typing import Any

from contract.errors import VerbNotSupported
from model_store.card import AnyCard, DirectionCard, ModelCard, Verb

_VERBS: dict[str, Verb] = {"fit_direction": "edit"}
"""Of a kind of job that is not called like what it asks of a model."""


class CardMismatch(Exception):  # noqa: N818 -- the name that the house gives it
    """The request is well formed but not for this model. `pointer` is a JSON pointer into its body."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.detail = pointer, detail


def check_verb(card: AnyCard, kind: str) -> None:
    """Whether a kind of job can be asked of a model.

    Raises:
        VerbNotSupported: with the list of what can.
    """
    verb = _VERBS.get(kind, kind)
    if verb not in card.verbs:
        raise VerbNotSupported(verb, card.verbs)


def generator_card(card: AnyCard, kind: str) -> ModelCard:
    """The card as that of a generator, for a kind of job that only generators do.

    Raises:
        VerbNotSupported: it is another model's.
    """
    check_verb(card, kind)
    if not isinstance(card, ModelCard):
        raise VerbNotSupported(_VERBS.get(kind, kind), card.verbs)
    return card


def check_request(card: ModelCard, request: Any) -> None:
    """A generate, encode, edit or fit request against the card: latents, class, truncation, noise, styles.

    Raises:
        CardMismatch: the first thing that does not fit.
    """
    for pointer, latent, space in _latents(request):
        _check_latent(card, pointer, latent, space)
    if hasattr(request, "class_label") and (request.class_label is not None or _reads_class(card, request)):
        class_index(card, request.class_label)
    if hasattr(request, "truncation"):
        _check_truncation(card, request)
    if getattr(request, "noise", "constant") == "random" and not _has_noise(card):
        raise CardMismatch("/noise", "this model's network has no noise inputs; leave it constant")
    edit = getattr(request, "edit", None)
    if edit is not None and edit.op == "mix":
        _check_mix(card, edit)
    fit = getattr(request, "fit", None)
    if fit is not None:
        _check_fit(card, fit)


def class_index(card: ModelCard, label: int | str | None) -> int | None:
    """The class that `label` (an index or a name of the card) means; None on an unconditional model.

    Raises:
        CardMismatch: unknown, missing on a conditional model, or given on an unconditional one.
    """
    if not card.classes:
        if label is not None:
            raise CardMismatch("/class_label", "this model has no classes")
        return None
    names = ", ".join(card.classes)
    if label is None:
        raise CardMismatch("/class_label", f"this model needs a class: one of {names}")
    if isinstance(label, str):
        if label not in card.classes:
            raise CardMismatch("/class_label", f"must be one of {names}")
        return card.classes.index(label)
    if not 0 <= label < len(card.classes):
        raise CardMismatch("/class_label", f"must be an index from 0 to {len(card.classes) - 1} or one of {names}")
    return label


def check_direction(card: ModelCard, direction: DirectionCard, edit: Any) -> None:
    """A named direction against the model and the edit that follows it.

    Raises:
        CardMismatch: made for other weights, or without a regression where a target value is asked for.
    """
    if not direction.fits(card):
        raise CardMismatch("/edit/direction", "this direction was fitted on other weights of the model; fit it again")
    if edit.op == "target" and not direction.slope:
        raise CardMismatch("/edit/direction", "only a regression direction predicts an attribute; use op move")


def _latents(request: Any) -> Iterator[tuple[str, list[Any], str]]:
    """Every latent in the body with its pointer and space."""
    for k, latent in enumerate(getattr(request, "latents", None) or []):
        yield f"/latents/{k}", latent, request.latent_space
    sources: list[tuple[str, Any]] = [("/source", getattr(request, "source", None))]
    sources.append(("/edit/target", getattr(getattr(request, "edit", None), "target", None)))
    samples = getattr(getattr(request, "fit", None), "samples", None) or []
    sources += [(f"/samples/{k}/source", sample.source) for k, sample in enumerate(samples)]
    for pointer, source in sources:
        if hasattr(source, "latent"):
            yield f"{pointer}/latent", source.latent, source.space


def _check_latent(card: ModelCard, pointer: str, latent: list[Any], space: str) -> None:
    sizes = card.latent
    nested = isinstance(latent[0], list)
    if space == "z" and (nested or len(latent) != sizes.z_dim):
        raise CardMismatch(pointer, f"a latent of this model in space z is a list of {sizes.z_dim} numbers")
    if space == "w" and not sizes.has_style_space:
        raise CardMismatch(pointer, "this model has no style space; give the latent in space z")
    if space == "w":
        rows = latent if nested else [latent]
        if len(rows) not in (1, sizes.num_styles) or any(len(row) != sizes.w_dim for row in rows):
            size = f"{sizes.num_styles} lists of {sizes.w_dim} numbers"
            raise CardMismatch(pointer, f"a latent of this model in space w is {size}, or one such list for all styles")


def _reads_class(card: ModelCard, request: Any) -> bool:
    """Whether a class has to be known: z goes to the network with it, a style already holds it."""
    styled = card.latent.has_style_space
    if hasattr(request, "refine_steps"):  # an encoder does not read the class; only what renders z does
        if hasattr(request.source, "seed") or getattr(request.source, "space", "w") == "z":
            return True
        return not styled and (request.reconstruct or request.refine_steps > 0 or not card.has_encoder)
    return not (styled and _starts(request) == {"w"})


def _starts(request: Any) -> set[str]:
    """What a generate or an edit starts from: "seed", "z", "w"."""
    if not hasattr(request, "source"):
        return {request.latent_space} if request.latents else {"seed"}
    sources = (request.source, getattr(request.edit, "target", None))
    return {getattr(source, "space", "seed") for source in sources if source is not None}


def _check_truncation(card: ModelCard, request: Any) -> None:
    level, cutoff = request.truncation, request.truncation_cutoff
    if card.truncation.kind == "psi":
        if level is not None and level > 1:
            raise CardMismatch("/truncation", "this model takes psi from 0 to 1")
        if cutoff is not None and cutoff > card.latent.num_styles:
            raise CardMismatch("/truncation_cutoff", f"must be 1 to {card.latent.num_styles}, this model's styles")
        if cutoff is not None and level is None and card.truncation.default is None:
            raise CardMismatch("/truncation_cutoff", "this model has no psi of its own; give truncation beside it")
        return
    if cutoff is not None:
        raise CardMismatch("/truncation_cutoff", "this model has no styles; it takes the level of a truncated normal")
    if level == 0:
        raise CardMismatch("/truncation", "this model takes the level of a truncated normal, above 0")
    if level is not None and "seed" not in _starts(request):
        raise CardMismatch("/truncation", "this model truncates what a seed draws; a given latent is used as it is")


def _has_noise(card: ModelCard) -> bool:
    """Whether the network has noise inputs: each with a style space, but for an imported one that says it has none."""
    return card.latent.has_style_space and card.network.get("noise", True) is not False


def _check_fit(card: ModelCard, fit: Any) -> None:
    sizes = card.latent
    if fit.method == "sefa":
        length = sizes.w_dim if sizes.has_style_space else sizes.z_dim
        if fit.count > length:
            raise CardMismatch("/count", f"this model has {length} latent dimensions, so at most that many")
    elif card.classes and sizes.has_style_space:
        for k, sample in enumerate(fit.samples or []):
            if getattr(sample.source, "space", "seed") != "w":
                raise CardMismatch(f"/samples/{k}/source", "this model has classes; give its samples in space w")


def _check_mix(card: ModelCard, edit: Any) -> None:
    if not card.latent.has_style_space:
        raise CardMismatch("/edit/op", "this model has no styles to mix")
    if edit.crossover > card.latent.num_styles:
        raise CardMismatch("/edit/crossover", f"must be 0 to {card.latent.num_styles}, this model's styles")
