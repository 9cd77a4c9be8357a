"""The error tree, split by whose fault it is, because that decides who must act.

DidomiDataverseError
├── SenderError                  whoever posts to us; answered as problem+json
│   ├── NotJsonError             400: the body is not a JSON object or a list of them
│   ├── CredentialsError         401: no accepted way of calling matched
│   ├── AddressRefusedError      403: the address is not on the list
│   └── BodyTooLargeError        413
├── ConfigurationError           the operator's file, environment or mapping; lists every problem at once
├── StoreError                   ours or the disk's: the ledger could not do what was asked
│   └── StoreUnavailableError    nothing was committed; the same call may succeed later
└── DataverseError               the other end
    ├── TokenRefusedError        Microsoft Entra says no: a person must act
    ├── TokenUnavailableError    Microsoft Entra cannot be reached or is failing: try again later
    └── ReplyMalformedError      an answer that cannot be what the Web API sends
"""

from dataclasses import dataclass


class DidomiDataverseError(Exception):
    """Base of everything this package raises on purpose."""


class CallerError(DidomiDataverseError):
    """The caller's fault. `status` is the HTTP answer, `title` its short, data-free text."""

    status = 400
    title = "The request cannot be used."


class NotJsonError(CallerError):
    """The body is not a JSON object or a list of JSON objects (didomi.md 1.5, rule 5)."""

    status = 400
    title = "The body is not a JSON object or a list of JSON objects."


class CredentialsError(CallerError):
    """No configured way of authenticating accepted this caller (didomi.md 1.5, rule 3)."""

    status = 401
    title = "Missing or wrong credentials."


class AddressRefusedError(CallerError):
    """The caller's network address is not on the configured list (didomi.md 1.9)."""

    status = 403
    title = "This address may not call."


class BodyTooLargeError(CallerError):
    """The body exceeds the configured size (didomi.md 1.5, rule 4)."""

    status = 413
    title = "The body is too large."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, and where.

    `line` is 1-based in `file`; None when the value came from the environment or is missing altogether.
    `key` is the dotted path, e.g. `mapping.gdpr.purposes.newsletter`. `advice` says what to write instead.
    """

    file: str
    line: int | None
    key: str
    message: str
    advice: str = ""

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
    """The other end, or the way to it."""


class TokenRefusedError(DataverseError):
    """Microsoft Entra refuses the credential: retrying cannot help, a person must act (dataverse.md 10)."""


class TokenUnavailableError(DataverseError):
    """No token can be had now (network, HTTP 5xx, throttled), and no stored one is still good."""


class ReplyMalformedError(DataverseError):
    """The answer is not what the Web API sends, e.g. a multipart body without parts (dataverse.md 5.1)."""
