"""What comes of one attempt to deliver a webhook."""

from enum import StrEnum


class Problem(StrEnum):
    """Why there was no answer, or why there will be no further attempt."""

    ADDRESS_REFUSED = "address_refused"
    """The name leads to an address that webhooks may not go to."""
    NAME_UNKNOWN = "name_unknown"
    """The name leads nowhere."""
    UNREACHABLE = "unreachable"
    """No connection, or one that broke."""
    TLS_FAILED = "tls_failed"
    """The certificate is not valid for the name, or there is no TLS at all."""
    TIMEOUT = "timeout"
    """No status within the time of an attempt."""
    NOT_HTTP = "not_http"
    """What came was no answer of HTTP/1.1."""
    KEY_REVOKED = "key_revoked"
    """The API key that posted the job was revoked meanwhile."""


class DeliveryError(Exception):
    """An attempt that got no answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
