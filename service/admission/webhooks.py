"""Whether a request may have its job's end told to the address that it names."""

from contract.errors import InvalidRequest
from contract.requests import AnyRequest
from contract.webhooks import receiver_of
from jobs.keys import Scope
from jobs.ownership import OwnJobs
from jobs.settings import Settings
from jobs.webhooks.addresses import AddressRule
from service.http.errors import ScopeMissing

POINTER = "/webhook"


def check_webhook(request: AnyRequest, jobs: OwnJobs, settings: Settings) -> None:
    """A name is looked up only when it is sent to: what it leads to then is what counts.

    Raises: ScopeMissing, InvalidRequest.
    """
    if request.notifies is None:
        return
    if Scope.WEBHOOKS not in jobs.scopes:
        raise ScopeMissing(f"A webhook needs an API key with the scope {Scope.WEBHOOKS}.")
    receiver = receiver_of(request.notifies)
    if not receiver.is_encrypted and not settings.webhook_http:
        raise InvalidRequest("The webhook cannot be taken.", [(POINTER, "must begin with https://")])
    if not AddressRule(settings.webhook_allowed).allows_literal(receiver.host):
        raise InvalidRequest("The webhook cannot be taken.", [(POINTER, "must not be an address of a private network")])
