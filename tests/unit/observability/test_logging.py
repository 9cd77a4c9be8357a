"""Logs are JSON outside a terminal, and libraries do not talk about people in them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.observability.logging import Format, configure_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield io.StringIO()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def entries(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_entry_is_one_json_object_with_level_and_time(stream: io.StringIO) -> None:
    configure_logging(level="info", output_format="auto", stream=stream)
    structlog.get_logger("any").info("contacts_settled", written=2)
    (entry,) = entries(stream)
    assert (entry["event"], entry["level"], entry["written"]) == ("contacts_settled", "info", 2)
    assert str(entry["timestamp"]).endswith("Z")


@pytest.mark.parametrize("output_format", ["json", "text"])
def test_an_error_says_where_it_happened_and_quotes_nothing(
    stream: io.StringIO, output_format: Format
) -> None:
    """Neither variables nor messages of unforeseen errors: both may hold an identifier or a choice."""
    configure_logging(level="info", output_format=output_format, stream=stream)

    def fail(identifier: str) -> None:
        raise ValueError(identifier)

    for log in (structlog.get_logger("any"), logging.getLogger("a.library")):
        try:
            try:
                fail("customer-" + "0001")
            except ValueError as error:
                raise KeyError("customer-" + "0001") from error
        except KeyError:
            log.exception("delivery_failed")
    assert stream.getvalue().count("in fail") == 2
    assert "KeyError" in stream.getvalue()
    assert "customer-0001" not in stream.getvalue()


def test_our_own_and_the_systems_errors_keep_their_message(stream: io.StringIO) -> None:
    configure_logging(level="info", output_format="json", stream=stream)
    for error in (StoreUnavailableError("The disk is full."), OSError("No space left on device")):
        structlog.get_logger("any").error("store_failed", exc_info=error)
    assert "The disk is full." in stream.getvalue()
    assert "No space left on device" in stream.getvalue()


@pytest.mark.parametrize("library", ["httpx", "httpcore", "msal", "urllib3"])
def test_a_librarys_chatter_is_kept_out(stream: io.StringIO, library: str) -> None:
    """At their informational level these print URLs, which hold keys, and headers, which hold tokens."""
    configure_logging(level="debug", output_format="json", stream=stream)
    logging.getLogger(library).info("GET https://example.com/contacts(new_didomikey='u-42')")
    assert entries(stream) == []


def test_text_is_for_people(stream: io.StringIO) -> None:
    configure_logging(level="warning", output_format="text", stream=stream)
    structlog.get_logger("any").info("unheard")
    structlog.get_logger("any").warning("contact_parked", reason="rejected")
    assert "contact_parked" in stream.getvalue()
    assert "unheard" not in stream.getvalue()


def test_an_output_that_takes_nothing_stops_nothing(stream: io.StringIO) -> None:
    """A disk that is full must not make an error of what was done."""
    configure_logging(level="info", output_format="json", stream=stream)
    stream.close()
    structlog.get_logger("any").info("notification_stored")
    assert stream.closed
