"""The error tree, split by whose fault it is, because that decides who must act.

DidomiDataverseError
├── CallerError                  the caller of our HTTP routes; answered as problem+json
│   ├── NotJsonError             400: the body is not a JSON object or a list of them
│   ├── CredentialsError         401: no accepted authentication method matched
│   ├── AddressRefusedError      403: the caller's address is not on the list
│   ├── BodyTimeoutError         408: the body did not arrive in time
│   ├── BodyTooLargeError        413: the body exceeds the configured size
│   ├── DisconnectedError        400: the caller closed the connection; the answer is not read
│   └── KeysUnavailableError     503: the caller's token cannot be verified now
├── ConfigurationError           the operator's file, environment or mapping; lists every problem at once
├── StoreError                   ours or the disk's: the ledger could not do what was asked
│   └── StoreUnavailableError    nothing was committed; the same call may succeed later
└── DataverseError               the other end
    ├── TokenRefusedError        Microsoft Entra refuses the credential: a person must act
    ├── TokenUnavailableError    Microsoft Entra cannot be reached or is failing: try again later
    └── ReplyMalformedError      an answer that cannot be what the Web API sends
"""

from dataclasses import dataclass


class DidomiDataverseError(Exception):
    """Base of every error that this package raises on purpose."""


class CallerError(DidomiDataverseError):
    """A request that cannot be served as it was sent. The message becomes the `detail` of the answer."""

    status = 400
    """The HTTP status of the answer."""
    title = "The request cannot be used."
    """The short text of the answer. It never repeats a part of the request."""


class NotJsonError(CallerError):
    """The body is not a JSON object or a list of JSON objects (didomi.md 1.5, rule 5)."""

    status = 400
    title = "The body is not a JSON object or a list of JSON objects."


class CredentialsError(CallerError):
    """No configured authentication method accepted this caller (didomi.md 1.5, rule 3)."""

    status = 401
    title = "Missing or wrong credentials."


class AddressRefusedError(CallerError):
    """The caller's network address is not on the configured list (didomi.md 1.9)."""

    status = 403
    title = "This address may not call."


class BodyTimeoutError(CallerError):
    """The body did not arrive in time: a slow caller must not hold a connection open."""

    status = 408
    title = "The body did not arrive in time."


class BodyTooLargeError(CallerError):
    """The body exceeds the configured size (didomi.md 1.5, rule 4)."""

    status = 413
    title = "The body is too large."


class DisconnectedError(CallerError):
    """The caller closed the connection before the body was complete. The answer is not read."""

    title = "The connection was closed before the body was complete."


class KeysUnavailableError(CallerError):
    """The identity provider's keys cannot be fetched and none are known. The token may be good or bad, so
    the answer is neither 202 nor 401 (docs/decisions/0013-unknown-keys-are-503.md).
    """

    status = 503
    title = "The caller's token cannot be checked now."


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration, and where it is."""

    file: str
    """The file that was read."""
    line: int | None
    """1-based line in `file`; None when the value came from the environment or is missing altogether."""
    key: str
    """The dotted path, e.g. `mapping.gdpr.purposes.newsletter`. Empty for the file as a whole."""
    message: str
    """What is wrong."""
    advice: str = ""
    """What to write instead; empty when the message says it."""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        advice = f" {self.advice}" if self.advice else ""
        return f"{where}:{key} {self.message}{advice}"


class ConfigurationError(DidomiDataverseError):
    """The configuration cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class StoreError(DidomiDataverseError):
    """The ledger could not do what was asked; nothing was changed."""


class StoreUnavailableError(StoreError):
    """The store cannot commit now (locked, full, read-only, unreachable). Nothing was committed."""


class DataverseError(DidomiDataverseError):
    """Dataverse or Microsoft Entra failed, or the way to them did."""


class TokenRefusedError(DataverseError):
    """Microsoft Entra refuses the credential: retrying cannot help, a person must act (dataverse.md 10)."""


class TokenUnavailableError(DataverseError):
    """No token can be obtained now (network, HTTP 5xx, throttled), and no stored one is still good."""


class ReplyMalformedError(DataverseError):
    """The answer is not what the Web API sends, e.g. a multipart body without parts (dataverse.md 5.1)."""
