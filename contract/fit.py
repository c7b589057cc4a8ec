"""Whether what a request asks for fits a model's card: one rule a function, over plain values. No torch."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from contract.errors import InvalidRequest, UnreadableVolume, VerbNotSupported
from contract.fields import ClassLabel, Latent, LatentSpace, Origin, OutputOptions
from model_store.card import AnyCard, DirectionCard, ModelCard, TranslatorCard, Verb
from volumes.grids.field_of_view import LEAST_SIDE, MAX_SIDE, Shape, places_in_world

PATCH = 32
"""Voxels along a side."""
SCORED_VOXELS = 256**3
"""Of a volume from which on a score costs at most 15% of making it, on a CPU; of 64^3 it costs half."""


def unfit(pointer: str, reason: str) -> InvalidRequest:
    """The request is well formed but not for this model. `pointer` is a JSON pointer into its body."""
    return InvalidRequest(f"The request does not fit the model: {reason}.", [(pointer, reason)])


def check_verb(card: AnyCard, verb: Verb) -> None:
    """Whether a model can do what is asked of it.

    Raises:
        VerbNotSupported: with the list of what it can.
    """
    if verb not in card.verbs:
        raise VerbNotSupported(verb, card.verbs)


def generator_card(card: AnyCard, verb: Verb) -> ModelCard:
    """The card as that of a generator, for what only generators do.

    Raises:
        VerbNotSupported: it is another model's.
    """
    check_verb(card, verb)
    if not isinstance(card, ModelCard):
        raise VerbNotSupported(verb, card.verbs)
    return card


def check_open(card: ModelCard, what: str) -> None:
    """For what needs the network's layers or its gradient.

    Raises:
        VerbNotSupported: the network is run and not looked into.
    """
    if not card.is_open:
        raise VerbNotSupported(what, card.verbs)


def translator_card(card: AnyCard, verb: Verb) -> TranslatorCard:
    """The card as that of a translator, for what only translators do.

    Raises:
        VerbNotSupported: it is another model's.
    """
    check_verb(card, verb)
    if not isinstance(card, TranslatorCard):
        raise VerbNotSupported(verb, card.verbs)
    return card


class Following(Protocol):
    """A request as `followed_direction` sees it."""

    @property
    def follows(self) -> str | None:
        """Name of the direction along which it moves."""

    @property
    def targets(self) -> Sequence[float]:
        """Values of that direction's attribute that it goes to."""


def followed_direction(card: AnyCard, request: Following, find: Callable[[str], DirectionCard]) -> DirectionCard | None:
    """The direction that a request follows, found by its name and held against the model; None where it follows none.

    Raises:
        InvalidRequest: made for other weights, or a value is asked for that it cannot predict. As `find`.
    """
    if request.follows is None:
        return None
    direction = find(request.follows)
    if not direction.fits(card):
        raise unfit("/edit/direction", "this direction was fitted on other weights of the model; fit it again")
    if request.targets and not direction.slope:
        raise unfit("/edit/direction", "only a regression direction predicts an attribute; use op move")
    for k, value in enumerate(request.targets):
        if direction.transform == "log" and value <= 0:
            raise unfit(f"/edit/values/{k}", "this direction predicts a logarithm; a value must be above 0")
    return direction


def class_index(card: ModelCard, label: ClassLabel | None) -> int | None:
    """The class that `label` (an index or a name of the card) means; None on an unconditional model.

    Raises:
        InvalidRequest: unknown, missing on a conditional model, or given on an unconditional one.
    """
    if not card.classes:
        if label is not None:
            raise unfit("/class_label", "this model has no classes")
        return None
    names = ", ".join(card.classes)
    if label is None:
        raise unfit("/class_label", f"this model needs a class: one of {names}")
    if isinstance(label, str):
        if label not in card.classes:
            raise unfit("/class_label", f"must be one of {names}")
        return card.classes.index(label)
    if not 0 <= label < len(card.classes):
        raise unfit("/class_label", f"must be an index from 0 to {len(card.classes) - 1} or one of {names}")
    return label


def check_class(card: ModelCard, label: ClassLabel | None, *, is_read: bool) -> None:
    """`is_read`: the network is given the class, so that it has to be known. Raises: InvalidRequest."""
    if label is not None or is_read:
        class_index(card, label)


def check_latents(card: ModelCard, latents: Iterable[tuple[str, Latent, LatentSpace]]) -> None:
    """Latents of a body with their pointers and spaces. Raises: InvalidRequest for the first that has another shape."""
    sizes = card.latent
    for pointer, latent, space in latents:
        nested = isinstance(latent[0], list)
        if space == "z" and (nested or len(latent) != sizes.z_dim):
            raise unfit(pointer, f"a latent of this model in space z is a list of {sizes.z_dim} numbers")
        if space == "w" and not sizes.has_style_space:
            raise unfit(pointer, "this model has no style space; give the latent in space z")
        if space == "w" and not _is_style(latent, sizes.num_styles, sizes.w_dim):
            size = f"{sizes.num_styles} lists of {sizes.w_dim} numbers"
            raise unfit(pointer, f"a latent of this model in space w is {size}, or one such list for all styles")


def _is_style(latent: Latent, num_styles: int, w_dim: int) -> bool:
    lengths = [len(row) if isinstance(row, list) else 0 for row in latent]
    return len(latent) == w_dim if lengths[0] == 0 else lengths in ([w_dim], [w_dim] * num_styles)


def check_truncation(card: ModelCard, level: float | None, cutoff: int | None, origins: Sequence[Origin]) -> None:
    """`origins`: what the volumes are made from. Raises: InvalidRequest."""
    if card.truncation.kind == "psi":
        if level is not None and level > 1:
            raise unfit("/truncation", "this model takes psi from 0 to 1")
        if cutoff is not None and cutoff > card.latent.num_styles:
            raise unfit("/truncation_cutoff", f"must be 1 to {card.latent.num_styles}, this model's styles")
        if cutoff is not None and level is None and card.truncation.default is None:
            raise unfit("/truncation_cutoff", "this model has no psi of its own; give truncation beside it")
        return
    if cutoff is not None:
        raise unfit("/truncation_cutoff", "this model has no styles; it takes the level of a truncated normal")
    if level == 0:
        raise unfit("/truncation", "this model takes the level of a truncated normal, above 0")
    if level is not None and "seed" not in origins:
        raise unfit("/truncation", "this model truncates what a seed draws; a given latent is used as it is")


def check_noise(card: ModelCard, noise: str) -> None:
    """A network has noise inputs with a style space, but for an imported one that says it has none.

    Raises: InvalidRequest.
    """
    has_noise = card.latent.has_style_space and card.network.get("noise", True) is not False
    if noise == "random" and not has_noise:
        raise unfit("/noise", "this model's network has no noise inputs; leave it constant")


def check_score(card: ModelCard, wishes: Mapping[str, object]) -> None:
    """`wishes` by their pointers. Raises: InvalidRequest, where the model has nothing to hold volumes against."""
    for pointer, wish in wishes.items():
        if wish and not card.has_reference:
            raise unfit(pointer, "this model has no reference of scans to hold volumes against")


def is_scored(card: ModelCard, wish: bool | None) -> bool:
    """Whether volumes are held against the reference: as wished, else where that is little beside making them."""
    return card.has_reference and (math.prod(card.shape) >= SCORED_VOXELS if wish is None else wish)


def check_mix(card: ModelCard, crossover: int) -> None:
    """Raises: InvalidRequest, where the model has no styles or fewer."""
    check_open(card, "mix")
    if not card.latent.has_style_space:
        raise unfit("/edit/op", "this model has no styles to mix")
    if crossover > card.latent.num_styles:
        raise unfit("/edit/crossover", f"must be 0 to {card.latent.num_styles}, this model's styles")


def check_components(card: ModelCard, count: int) -> None:
    """As many directions as SeFa can give. Raises: InvalidRequest."""
    check_open(card, "factorise its weights (SeFa)")
    length = card.latent.w_dim if card.latent.has_style_space else card.latent.z_dim
    if count > length:
        raise unfit("/count", f"this model has {length} latent dimensions, so at most that many")


def made_by(card: ModelCard) -> tuple[Shape, tuple[float, float, float]]:
    """Shape and voxel size (x, y, z) of the volumes of a generator, as they are stored."""
    x, y, z = places_in_world(card.axes)
    sizes = card.spacing_mm
    return (card.shape[x], card.shape[y], card.shape[z]), (sizes[x], sizes[y], sizes[z])


def check_output(output: OutputOptions, shape: Shape, spacing_mm: Sequence[float]) -> None:
    """Whether a volume of that shape and voxel size can be stored on the chosen grid. Raises: InvalidRequest."""
    if output.grid is None:
        return
    sides = output.sides(shape, spacing_mm)
    if not (min(sides) >= LEAST_SIDE and max(sides) <= MAX_SIDE):
        reason = f"a side would have fewer than {LEAST_SIDE} voxels or more than {MAX_SIDE}"
        raise InvalidRequest(f"The grid cannot be made: {reason}.", [("/output/grid", reason)])


def check_patch(shape: tuple[int, int, int]) -> None:
    """Raises: UnreadableVolume, where a scan is on every side smaller than what a translator makes at once."""
    if max(shape) < PATCH or min(shape) < 2:
        told = f"The scan is smaller than a patch of {PATCH} voxels, or has a single slice."
        raise UnreadableVolume(told, [("/volume", told)])


def check_samples(card: ModelCard, origins: Sequence[Origin]) -> None:
    """Samples that a direction is fitted to. Raises: InvalidRequest, where a style would need a class to be known."""
    if not (card.classes and card.latent.has_style_space):
        return
    for k, origin in enumerate(origins):
        if origin != "w":
            raise unfit(f"/samples/{k}/source", "this model has classes; give its samples in space w")
