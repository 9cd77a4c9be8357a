"""Microsoft's own Python client, unmodified and in a process of its own, against the sandbox in another.

Each test checks what the client returns, and what the sandbox's table holds afterwards. Its token comes
from the sandbox's sign-in service, through Azure's own credentials. Not tested is what the sandbox does not
simulate: SQL and FetchXML (refused), `BulkDelete`, `RetrieveMetadataChanges`, tables other than Contact.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.acceptance.processes import RunningSandbox, run_sandbox
from tests.acceptance.third_party_client import (
    CLIENTS,
    LABEL,
    UNKNOWN_ID,
    Row,
    ThirdPartyClient,
    client_process,
)

EMAIL = 2  # dataverse.md 6.2: preferredcontactmethodcode


class OfficialClient(ThirdPartyClient):
    """The client, called by its own method names."""

    def call(self, path: str, *arguments: object, **keywords: object) -> Any:  # noqa: ANN401 - JSON
        """The result of a method."""
        return self.result({"call": path, "arguments": arguments, "keywords": keywords})

    def call_error(self, path: str, *arguments: object, **keywords: object) -> dict[str, Any]:
        """The error of a method."""
        return self.error({"call": path, "arguments": arguments, "keywords": keywords})

    def pages(self, *steps: list[object]) -> list[list[Row]]:
        """The rows of a query of the fluent builder, page by page."""
        pages: list[list[Row]] = self.result({"query": "contact", "steps": steps})
        return pages

    def batch(self, *operations: object, continue_on_error: bool = False) -> list[Row]:
        """The answers of a batch."""
        keywords = {"continue_on_error": continue_on_error}
        answers: list[Row] = self.result({"batch": operations, "keywords": keywords})["responses"]
        return answers


@contextmanager
def official(sandbox: RunningSandbox, kind: str, **replacements: str) -> Iterator[OfficialClient]:
    """The client in its synchronous or asynchronous form; each HTTP library has its own trust variable."""
    command = (sys.executable, str(CLIENTS / "sdk.py"), kind)
    trust = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    with client_process(sandbox, command, trust=trust, **replacements) as process:
        yield OfficialClient(process, sandbox)


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with run_sandbox(tmp_path_factory.mktemp("official")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["sync", "async"])
def shared_client(request: pytest.FixtureRequest, shared_sandbox: RunningSandbox) -> Iterator[OfficialClient]:
    with official(shared_sandbox, request.param) as opened:
        yield opened


@pytest.fixture
def client(shared_client: OfficialClient) -> OfficialClient:
    """Starting a client takes a second, so that all tests share one and clear the table."""
    shared_client.clear_table()
    return shared_client


def person(key: str, **columns: object) -> dict[str, object]:
    return {"new_didomikey": key, **columns}


def item(key: str, **columns: object) -> dict[str, object]:
    """One item of an upsert."""
    return {"alternate_key": {"new_didomikey": key}, "record": columns}


@pytest.fixture
def five(client: OfficialClient) -> list[str]:
    """The ids of five contacts, `p-1` to `p-5`."""
    people = [person(f"p-{number}", firstname=f"{number}", lastname="Five") for number in range(1, 6)]
    ids: list[str] = client.call("records.create", "contact", people)
    return ids


# --- Signing in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_token_is_asked_for_once(shared_sandbox: RunningSandbox, kind: str) -> None:
    shared_sandbox.control("POST", "reset")
    with official(shared_sandbox, kind) as client:
        assert len(client.call("tables.list")) == 1
        assert client.call("records.retrieve", "contact", UNKNOWN_ID) is None
        assert client.calls()["token"] == {"200": 1}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wrong_secret_is_reported_as_by_entra(shared_sandbox: RunningSandbox, kind: str) -> None:
    with official(shared_sandbox, kind, client_secret="not-the-secret") as client:
        error = client.call_error("tables.list")
        assert error["raised"] == "ClientAuthenticationError"
        assert "AADSTS7000215" in error["message"]


# --- One row ------------------------------------------------------------------------------------------------


def test_a_created_row_has_the_id_that_the_client_returns(client: OfficialClient) -> None:
    found = client.call("records.create", "contact", person("a", lastname="O'Neil", donotemail=True))
    row = client.table()["a"]
    assert row["contactid"] == found
    assert (row["lastname"], row["donotemail"], row["donotphone"]) == ("O'Neil", True, False)


def test_a_label_of_a_choice_is_stored_as_its_number(client: OfficialClient) -> None:
    """The client looks the label up in the table's metadata."""
    client.call("records.create", "contact", person("a", preferredcontactmethodcode="Email"))
    assert client.table()["a"]["preferredcontactmethodcode"] == EMAIL


def test_an_update_changes_the_columns_it_names(client: OfficialClient, five: list[str]) -> None:
    client.call("records.update", "contact", five[1], {"lastname": "Çelik", "new_newsletter": True})
    assert client.column("lastname") == {
        "p-1": "Five", "p-2": "Çelik", "p-3": "Five", "p-4": "Five", "p-5": "Five",
    }  # fmt: skip
    assert (client.table()["p-2"]["new_newsletter"], client.table()["p-2"]["firstname"]) == (True, "2")


def test_an_update_of_a_missing_row_creates_none(client: OfficialClient) -> None:
    error = client.call_error("records.update", "contact", UNKNOWN_ID, {"lastname": "Unknown"})
    assert (error["status"], error["code"]) == (404, "0x80040217")
    assert client.table() == {}


def test_an_upsert_creates_and_then_updates_the_same_row(client: OfficialClient) -> None:
    key = "d'Arc 1"
    client.call("records.upsert", "contact", [item(key, firstname="Jeanne", donotbulkemail=True)])
    created = client.table()[key]
    client.call("records.upsert", "contact", [item(key, donotbulkemail=False)])
    (updated,) = client.table().values()
    assert created["donotbulkemail"] is True
    assert (updated["contactid"], updated["firstname"]) == (created["contactid"], "Jeanne")
    assert updated["donotbulkemail"] is False


def test_a_wrong_value_is_refused_with_its_code(client: OfficialClient, five: list[str]) -> None:
    error = client.call_error("records.update", "contact", five[0], {"preferredcontactmethodcode": 77})
    assert (error["status"], error["code"]) == (400, "0x8004431a")
    assert client.table()["p-1"]["preferredcontactmethodcode"] == 1


@pytest.mark.parametrize("key", ["a+b@example.com", "a/b", "a#b"])
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "in-bulk"])
def test_a_key_that_no_url_can_carry_is_refused(client: OfficialClient, key: str, others: int) -> None:
    """dataverse.md 1.4. This client sends such a key unchanged."""
    items = [item(key, lastname="Lost"), *[item("b", lastname="Other")] * others]
    assert client.call_error("records.upsert", "contact", items)["status"] in {400, 404}
    assert client.table() == {}


def test_a_throttled_call_is_reported_with_its_wait(client: OfficialClient) -> None:
    client.call("tables.list")
    client.sandbox.control("PUT", "limits", {"enforce": True, "requests": 1, "window_seconds": 300})
    error = client.call_error("records.create", "contact", person("a"))
    assert (error["status"], error["code"], error["is_transient"]) == (429, "0x80072322", True)
    assert 0 < error["retry_after"] <= 300
    assert client.table() == {}


def test_a_deleted_row_is_gone(client: OfficialClient, five: list[str]) -> None:
    client.call("records.delete", "contact", five[0])
    client.call("records.delete", "contact", five[2:4], use_bulk_delete=False)
    assert client.table().keys() == {"p-2", "p-5"}
    assert client.call_error("records.delete", "contact", five[0])["status"] == 404


# --- Many rows ----------------------------------------------------------------------------------------------


def test_rows_created_together_have_the_returned_ids_in_order(
    client: OfficialClient, five: list[str]
) -> None:
    assert list(client.column("contactid").values()) == five
    assert client.calls()["create_multiple"] == {"200": 1}


def test_one_change_goes_to_several_rows(client: OfficialClient, five: list[str]) -> None:
    client.call("records.update", "contact", five[:3], {"donotphone": True})
    assert list(client.column("donotphone").values()) == [True, True, True, False, False]
    assert client.calls()["update_multiple"] == {"204": 1}


def test_several_changes_go_each_to_its_row(client: OfficialClient, five: list[str]) -> None:
    client.call("records.update", "contact", five[:2], [{"lastname": "One"}, {"donotfax": True}])
    assert list(client.column("lastname").values()) == ["One", "Five", "Five", "Five", "Five"]
    assert list(client.column("donotfax").values()) == [False, True, False, False, False]


def test_a_bulk_upsert_creates_some_and_updates_others(client: OfficialClient, five: list[str]) -> None:
    items = [item(f"p-{number}", new_newsletter=number % 2 == 0) for number in range(4, 8)]
    client.call("records.upsert", "contact", items)
    rows = client.table()
    assert [rows[f"p-{number}"]["new_newsletter"] for number in range(4, 8)] == [True, False, True, False]
    assert [rows[f"p-{number}"]["contactid"] for number in (4, 5)] == five[3:]
    assert len(rows) == 7
    assert client.calls()["upsert_multiple"] == {"204": 1}


@pytest.mark.parametrize(
    ("second", "status"),
    [
        pytest.param(item("p-2", donotemail="yes"), 400, id="a-wrong-value"),
        pytest.param(item("P-1", donotemail=True), 400, id="the-same-row-twice"),
    ],
)
def test_a_bulk_upsert_writes_all_or_nothing(
    client: OfficialClient, second: dict[str, object], status: int
) -> None:
    error = client.call_error("records.upsert", "contact", [item("p-1", donotemail=True), second])
    assert error["status"] == status
    assert client.table() == {}


# --- Reading ------------------------------------------------------------------------------------------------


def test_a_row_is_read_by_its_id_with_the_columns_asked_for(client: OfficialClient, five: list[str]) -> None:
    found = client.call("records.retrieve", "contact", five[2], select=["New_DidomiKey", "donotemail"])
    assert found.pop("etag").startswith('W/"')
    assert found == {"id": five[2], "contactid": five[2], "new_didomikey": "p-3", "donotemail": False}
    assert client.call("records.retrieve", "contact", UNKNOWN_ID) is None


def test_labels_come_beside_the_values(client: OfficialClient, five: list[str]) -> None:
    client.call("records.update", "contact", five[0], {"donotemail": True, "new_profiling": 100000001})
    found = client.call(
        "records.retrieve",
        "contact",
        five[0],
        select=["donotemail", "new_profiling"],
        include_annotations="*",
    )
    assert (found["donotemail"], found["donotemail" + LABEL]) == (True, "Yes")
    assert (found["new_profiling"], found["new_profiling" + LABEL]) == (100000001, "Refused")


@pytest.mark.usefixtures("five")
def test_more_rows_than_a_page_come_page_by_page(client: OfficialClient) -> None:
    pages = client.call(
        "records.list_pages", "contact", select=["new_didomikey"], orderby=["new_didomikey"], page_size=2
    )
    assert [[row["new_didomikey"] for row in page] for page in pages] == [
        ["p-1", "p-2"],
        ["p-3", "p-4"],
        ["p-5"],
    ]
    assert client.calls()["get"] == {"200": 3}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"filter": "new_didomikey eq 'p-4'"}, ["p-4"], id="equal"),
        pytest.param(
            {"filter": "firstname gt '3' and not endswith(new_didomikey,'5')"}, ["p-4"], id="and-not"
        ),
        pytest.param(
            {"filter": "contains(new_didomikey,'-1') or firstname le '2'", "orderby": ["firstname desc"]},
            ["p-2", "p-1"],
            id="or-ordered-downwards",
        ),
        pytest.param({"top": 2, "orderby": ["lastname", "firstname desc"]}, ["p-5", "p-4"], id="top"),
        pytest.param({"filter": "donotemail eq true"}, [], id="none"),
        pytest.param(
            {"filter": "lastname eq 'Five'", "orderby": ["firstname"], "page_size": 3, "count": True},
            ["p-1", "p-2", "p-3", "p-4", "p-5"],
            id="counted-in-two-pages",
        ),
    ],
)
@pytest.mark.usefixtures("five")
def test_rows_are_found(client: OfficialClient, options: dict[str, object], expected: list[str]) -> None:
    found = client.call("records.list", "contact", select=["new_didomikey"], **options)
    assert [row["new_didomikey"] for row in found] == expected


@pytest.mark.usefixtures("five")
def test_the_query_builder_is_understood(client: OfficialClient) -> None:
    pages = client.pages(
        ["select", "new_didomikey", "donotemail"],
        ["where", "firstname", "ge", "2"],
        ["where", "donotemail", "eq", False],
        ["order_by", "firstname", True],
        ["page_size", 3],
        ["count"],
        ["include_annotations", "*"],
    )
    assert [[row["new_didomikey"] for row in page] for page in pages] == [["p-5", "p-4", "p-3"], ["p-2"]]
    assert {row["donotemail" + LABEL] for page in pages for row in page} == {"No"}


def test_sql_is_reported_as_not_simulated(client: OfficialClient) -> None:
    """It is not answered with every row."""
    error = client.call_error("query.sql", "SELECT fullname FROM contact")
    assert (error["status"], "not simulated" in error["message"]) == (501, True)


# --- Batches ------------------------------------------------------------------------------------------------


def test_a_batch_answers_each_operation_in_its_order(client: OfficialClient, five: list[str]) -> None:
    answers = client.batch(
        {"call": "records.create", "arguments": ["contact", person("b-1", lastname="Batch")]},
        {"call": "records.update", "arguments": ["contact", five[0], {"lastname": "Batch"}]},
        {"call": "records.upsert", "arguments": ["contact", [item("b 2", lastname="Batch")]]},
        {"call": "records.upsert", "arguments": ["contact", [item("b-3", lastname="Batch"), item("b-4")]]},
        {"call": "records.retrieve", "arguments": ["contact", five[0]], "keywords": {"select": ["lastname"]}},
        {
            "call": "records.list",
            "arguments": ["contact"],
            "keywords": {"filter": "lastname eq 'Batch'", "orderby": ["new_didomikey desc"], "top": 3},
        },
        {"call": "records.delete", "arguments": ["contact", five[1]]},
        {"call": "tables.get", "arguments": ["contact"]},
    )
    rows = client.table()
    assert [answer["status_code"] for answer in answers] == [204, 204, 204, 204, 200, 200, 204, 200]
    assert answers[0]["entity_id"] == rows["b-1"]["contactid"]
    assert answers[4]["data"]["lastname"] == "Batch"
    assert [row["new_didomikey"] for row in answers[5]["data"]["value"]] == ["p-1", "b-3", "b-1"]
    assert answers[7]["data"]["value"][0]["EntitySetName"] == "contacts"
    assert rows.keys() == {"p-1", "p-3", "p-4", "p-5", "b-1", "b 2", "b-3", "b-4"}
    assert client.calls()["batch"] == {"200": 1}


BAD_UPDATE = {"preferredcontactmethodcode": 77}


@pytest.mark.parametrize(
    ("goes_on", "statuses", "expected"),
    [
        pytest.param(False, [204, 400], ["Before", "Five", "Five"], id="stops-at-the-first-failure"),
        pytest.param(True, [204, 400, 204], ["Before", "Five", "After"], id="goes-on-after-it"),
    ],
)
def test_a_failure_in_a_batch_stands_in_its_place(
    client: OfficialClient, five: list[str], goes_on: bool, statuses: list[int], expected: list[str]
) -> None:
    answers = client.batch(
        {"call": "records.update", "arguments": ["contact", five[0], {"lastname": "Before"}]},
        {"call": "records.update", "arguments": ["contact", five[1], BAD_UPDATE]},
        {"call": "records.update", "arguments": ["contact", five[2], {"lastname": "After"}]},
        continue_on_error=goes_on,
    )
    assert [answer["status_code"] for answer in answers] == statuses
    assert answers[1]["error_code"] == "0x8004431a"
    assert list(client.column("lastname").values())[:3] == expected


def test_a_change_set_is_written_whole(client: OfficialClient) -> None:
    answers = client.batch(
        {
            "changes": [
                {"call": "records.create", "arguments": ["contact", person("c-1", lastname="Ünal")]},
                {"call": "records.update", "arguments": ["contact", "$1", {"donotemail": True}]},
            ]
        }
    )
    assert [(answer["status_code"], answer["content_id"]) for answer in answers] == [(204, "1"), (204, "2")]
    (row,) = client.table().values()
    assert (row["lastname"], row["donotemail"]) == ("Ünal", True)


def test_a_change_set_that_fails_leaves_nothing(client: OfficialClient, five: list[str]) -> None:
    answers = client.batch(
        {
            "changes": [
                {"call": "records.create", "arguments": ["contact", person("c-1")]},
                {"call": "records.delete", "arguments": ["contact", five[0]]},
                {"call": "records.update", "arguments": ["contact", five[1], BAD_UPDATE]},
            ]
        },
        {"call": "records.update", "arguments": ["contact", five[2], {"lastname": "After"}]},
        continue_on_error=True,
    )
    assert [answer["status_code"] for answer in answers] == [400, 204]
    assert list(client.column("lastname").values()) == ["Five", "Five", "After", "Five", "Five"]


# --- Metadata -----------------------------------------------------------------------------------------------


def test_the_table_is_listed_and_described(client: OfficialClient) -> None:
    assert [table["LogicalName"] for table in client.call("tables.list")] == ["contact"]
    named = client.call("tables.list", filter="SchemaName eq 'Account'", select=["LogicalName"])
    assert named == []
    found = client.call("tables.get", "Contact")
    assert (found["logical_name"], found["entity_set_name"]) == ("contact", "contacts")
    assert (found["primary_id_attribute"], found["primary_name_attribute"]) == ("contactid", "fullname")
    assert client.call("tables.get", "new_nothing") is None


def test_columns_are_listed_and_described(client: OfficialClient) -> None:
    choices = client.call(
        "tables.list_columns",
        "contact",
        select=["LogicalName", "IsValidForUpdate"],
        filter="IsCustomAttribute eq true and AttributeTypeName/Value eq 'PicklistType'",
    )
    assert {column["LogicalName"] for column in choices} == {"new_profiling", "new_frequency"}
    every = {column["LogicalName"] for column in client.call("tables.list_columns", "contact")}
    client.call("records.create", "contact", person("a"))
    # A lookup `x` is written as `_x_value` in a row.
    assert {re.sub("^_(.+)_value$", r"\1", name) for name in client.table()["a"]} == every
    one = client.call("tables.get_column", "contact", "EmailAddress1")
    assert (one["LogicalName"], one["AttributeType"]) == ("emailaddress1", "String")
    assert client.call("tables.get_column", "contact", "new_nothing") is None


def test_an_alternate_key_is_listed_created_and_used(client: OfficialClient) -> None:
    (known,) = client.call("tables.get_alternate_keys", "contact")
    assert (known["key_attributes"], known["status"]) == (["new_didomikey"], "Active")
    client.call("tables.create_alternate_key", "contact", "new_EmployeeKey", ["employeeid"])
    created = client.call("tables.get_alternate_keys", "contact")[1]
    assert (created["key_attributes"], created["status"]) == (["employeeid"], "Active")
    by_number = {"alternate_key": {"employeeid": "0007"}, "record": {"new_didomikey": "a"}}
    client.call("records.upsert", "contact", [by_number])
    client.call("records.upsert", "contact", [by_number])
    assert client.column("employeeid") == {"a": "0007"}
