"""docs/howto/operate.md names every event, metric, state and reason that an operator meets, and no other."""

import re
from enum import StrEnum

import pytest

from didomi_dataverse.delivery.outcome import AlertReason, ParkReason
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_dataverse.mapping.convert import ConversionIssue
from didomi_dataverse.observability.metrics import Metrics
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "howto" / "operate.md").read_text(encoding="utf-8")
LOGGED = re.compile(r'\b_?(?:log|journal)\.(debug|info|warning|error|exception)\(\s*"(\w+)"')


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_page_tells_of_every_event_of_the_log_with_its_level() -> None:
    logged = {
        (event, "error" if level == "exception" else level)
        for file in (ROOT / "src").rglob("*.py")
        for level, event in LOGGED.findall(file.read_text(encoding="utf-8"))
    }
    rows = re.findall(r"^\| (`.*?) \| (\w+) \|", section("The log"), re.MULTILINE)

    assert {(event, level) for cell, level in rows for event in words(cell)} == logged


def test_the_page_tells_of_every_metric() -> None:
    families = Metrics().registry.collect()
    names = {family.name + "_total" * (family.type == "counter") for family in families}
    documented = {name for cell in first_cells("Metrics") for name in words(cell)}

    assert documented == names


def test_the_alerts_are_about_metrics_that_there_are() -> None:
    families = Metrics().registry.collect()
    names = {family.name + "_total" * (family.type == "counter") for family in families}
    expressions = [cell for cell in first_cells("Metrics") if not words(cell)]

    assert expressions
    assert {name for one in expressions for name in re.findall(r"\w*dataverse_\w+", one)} <= names


def test_the_page_tells_of_every_reason_for_which_a_contact_is_parked() -> None:
    documented = [word for cell in first_cells("Parked contacts") for word in words(cell)]

    assert sorted(documented) == sorted(reason.value for reason in ParkReason)


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        pytest.param(AlertReason, "`/readyz`", id="alerts"),
        pytest.param(DeliveryState, "Metrics", id="states of contacts"),
        pytest.param(ConversionIssue, "Metrics", id="problems of the mapping"),
    ],
)
def test_the_page_names_every_word(kind: type[StrEnum], title: str) -> None:
    assert {word.value for word in kind} <= set(words(section(title)))
