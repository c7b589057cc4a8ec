"""Registry: the models and directions that requests may name. Foreign errors become ours here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from contract.errors import (
    DirectionExists,
    DirectionShipped,
    ModelBroken,
    StoreUnavailable,
    UnknownDirection,
    UnknownModel,
)
from contract.fit import followed_direction
from contract.requests import AnyRequest
from jobs.keys import ANYBODY, ApiKey, Scope
from jobs.overview import Worker
from jobs.results.directions import FittedDirections
from jobs.results.store import ResultStore
from model_store.card import AnyCard, DirectionCard
from model_store.catalogue import Catalogue, NoSuchFolder
from model_store.faults import FolderFault
from model_store.last_evaluation import LastEvaluation
from service.http.errors import ScopeMissing

_BROKEN = "The model cannot be used: {}."


class Entry(NamedTuple):
    """A direction and whether it came with the model."""

    card: DirectionCard
    is_shipped: bool

    def summary(self, model: AnyCard) -> dict[str, Any]:
        """What a list shows: all but the vector."""
        facts = self.card.model_dump(mode="json", exclude={"vector"})
        return {**facts, "shipped": self.is_shipped, "stale": not self.card.fits(model)}


class Registry:
    """The catalogue's models, and beside their own directions those fitted here, which lie in the result store."""

    def __init__(self, catalogue: Catalogue, results: ResultStore) -> None:
        self._catalogue, self._fitted = catalogue, FittedDirections(results)

    def models(self) -> list[dict[str, Any]]:
        """Every model by name: its card with `status` ready, or `status` broken with the reason."""
        judged = self._catalogue.evaluations()
        ready = {card.name: ready_model(card, judged.get(card.name)) for card in self._catalogue.cards()}
        broken = {name: _broken_model(name, reason) for name, reason in self._catalogue.broken().items()}
        return [model for _, model in sorted((ready | broken).items())]

    def model(self, name: str) -> dict[str, Any]:
        """One entry of `models`. Raises: UnknownModel."""
        try:
            return ready_model(self._catalogue.card(name), self._catalogue.evaluations().get(name))
        except NoSuchFolder as err:
            raise self._unknown() from err
        except FolderFault as err:
            return _broken_model(name, err.detail)

    def card(self, name: str) -> AnyCard:
        """Raises: UnknownModel, ModelBroken."""
        try:
            return self._catalogue.card(name)
        except NoSuchFolder as err:
            raise self._unknown() from err
        except FolderFault as err:
            raise ModelBroken(_BROKEN.format(err.detail)) from err

    def _unknown(self) -> UnknownModel | StoreUnavailable:
        if not self._catalogue.is_complete:
            return StoreUnavailable("The bucket of models has not answered yet; try again shortly.")
        return UnknownModel("There is no model of that name; GET /models lists them.")

    def heed(self, workers: Iterable[Worker]) -> None:
        """Takes a model for broken that a worker could not load, for as long as its files stay as they are."""
        for worker in workers:
            for name, fault in worker.about.get("faults", {}).items():
                self._catalogue.note_broken(name, fault["reason"], fault["card"])

    def directions(self, card: AnyCard) -> list[Entry]:
        """All directions of a model, by name."""
        entries = {entry.card.name: entry for entry in (*self._fitted_here(card), *self._shipped(card))}
        return [entry for _, entry in sorted(entries.items())]

    def direction(self, card: AnyCard, name: str) -> Entry:
        """Raises: UnknownDirection."""
        for entry in self._shipped(card):
            if entry.card.name == name:
                return entry
        found = self._read(card, name)
        if found is None:
            raise UnknownDirection("The model has no direction of that name; GET its /directions to list them.")
        return found

    def owned_directions(self, owner: str) -> Sequence[str]:
        """Those that an API key has fitted, as model/name."""
        return self._fitted.owned(owner)

    def remove_direction(self, card: AnyCard, name: str, caller: ApiKey = ANYBODY) -> None:
        """Removes a fitted direction, also a damaged one.

        Raises: UnknownDirection, DirectionShipped, ScopeMissing where the key is no admin's and did not fit it.
        """
        is_own = Scope.JOBS in caller.scopes and f"{card.name}/{name}" in self.owned_directions(caller.id)
        if Scope.ADMIN not in caller.scopes and not is_own:
            raise ScopeMissing("This needs an API key with the scope admin, or the one that fitted the direction.")
        if name in {entry.card.name for entry in self._shipped(card)}:
            raise DirectionShipped("This direction came with the model and stays as long as the model does.")
        self._fitted.delete(card.name, name)

    def check(self, card: AnyCard, request: AnyRequest) -> Entry | None:
        """Holds a request against its model; the direction that it follows, where it follows one.

        Raises: InvalidRequest, UnknownDirection, DirectionExists.
        """
        request.check(card)
        self._check_names_free(card, request)
        entries: list[Entry] = []

        def find(name: str) -> DirectionCard:
            entries.append(self.direction(card, name))
            return entries[0].card

        return entries[0] if followed_direction(card, request, find) else None

    def _check_names_free(self, card: AnyCard, request: AnyRequest) -> None:
        wanted = set(request.directions)
        if wanted and wanted & {*self._fitted.names(card.name), *(entry.card.name for entry in self._shipped(card))}:
            raise DirectionExists("The model has a direction of that name; remove it first or take another name.")

    def _shipped(self, card: AnyCard) -> list[Entry]:
        cards = self._catalogue.directions(card.name)
        return [Entry(DirectionCard.model_validate(fields), is_shipped=True) for fields in cards]

    def _fitted_here(self, card: AnyCard) -> Iterator[Entry]:
        for name in self._fitted.names(card.name):
            found = self._read(card, name)
            if found is not None:
                yield found

    def _read(self, card: AnyCard, name: str) -> Entry | None:
        """A fitted direction; None where there is none, a damaged one, or one that no version of ours wrote."""
        try:
            return Entry(DirectionCard.model_validate(self._fitted.get(card.name, name)), is_shipped=False)
        except (UnknownDirection, ValidationError):
            return None


def ready_model(card: AnyCard, evaluation: LastEvaluation | None = None) -> dict[str, Any]:
    """A card as the service shows it, with the model's last evaluation."""
    facts = card.model_dump(mode="json") | card.abilities | {"sha256": card.sha256}
    judged = None if evaluation is None else evaluation.model_dump(mode="json")
    return {**facts, "status": "ready", "broken": False, "reason": None, "evaluation": judged}


def _broken_model(name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "status": "broken", "broken": True, "reason": reason}
