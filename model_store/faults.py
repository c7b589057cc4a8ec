"""Why the model store takes a folder or a file for no model, in one sentence. No torch."""

from pydantic import ValidationError


class Refusal(Exception):  # noqa: N818 -- says what happened, like the rest of the house's errors
    """What the model store does not take. `detail` is a sentence or two for the user, without paths."""

    @property
    def detail(self) -> str:
        return str(self)


class FolderFault(Refusal):
    """A model folder that cannot be served."""


class UnreadableModel(FolderFault):
    """The system failed to read a file: the next try may well succeed, so that nobody keeps this in mind."""


def first_fault(err: ValidationError, *inside: str) -> str:
    """Where a card is not valid and why; `inside`: the place in the card of what was validated.

    An unknown field before all else: misspelt, it is the reason why another one is missing.
    """
    errors = err.errors(include_input=False, include_url=False)
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    place = ".".join((*inside, *(str(part) for part in first["loc"])))
    if first["type"] == "extra_forbidden":
        return f" at {place}: there is no field of that name"
    return f" at {place}: {first['msg']}" if place else f": {first['msg']}"
