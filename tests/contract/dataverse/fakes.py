"""A Microsoft Entra that says what it is told to."""

import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from didomi_dataverse.dataverse.calls import Exchange
from didomi_dataverse.dataverse.replies import Answer

ORG = "https://acme.crm4.dynamics.com"
API = f"{ORG}/api/data/v9.2"
ONE = UUID(int=1)
"""Every id that a client makes up."""


def answers(exchange: Exchange) -> tuple[Answer, ...]:
    """What came back for each request."""
    return tuple(reply.answer for reply in exchange.replies)


class Connections:
    """What MSAL keeps open."""

    closed = False

    def close(self) -> None:
        self.closed = True


def granted(token: str, expires_in: int = 3599) -> dict[str, Any]:
    """What MSAL returns for a token that it has just fetched."""
    return {
        "access_token": token,
        "expires_in": expires_in,
        "token_type": "Bearer",
        "token_source": "identity_provider",
    }


class FakeEntra:
    """Answers in turn: a dictionary is returned, an exception raised. Out of answers, it numbers its tokens.

    `held` keeps an answer back until it is set, to see what callers do meanwhile.
    """

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []
        self.removed = 0
        self.held: threading.Event | None = None

    def acquire_token_for_client(self, scopes: list[str]) -> Mapping[str, Any]:
        self.asked.append(scopes)
        if self.held is not None:
            assert self.held.wait(timeout=10)
        answer = self._answers.pop(0) if self._answers else granted(f"token-{len(self.asked)}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def remove_tokens_for_client(self) -> None:
        self.removed += 1

    def opener(self, *failures: Exception) -> Callable[[], "FakeEntra"]:
        """What opens this application, after failing as told."""
        left = list(failures)

        def open_application() -> FakeEntra:
            if left:
                raise left.pop(0)
            return self

        return open_application
