"""`dynamics-web-api` of npm, unmodified and in a process of its own, against the sandbox in another.

Each test checks what the client returns, and what the sandbox's table holds afterwards. The tests need
what `scripts/install-clients` installs; `pytest -m node_client` runs them.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.processes import run_sandbox
from tests.acceptance.third_party_client import (
    CLIENTS,
    LABEL,
    UNKNOWN_ID,
    Row,
    ThirdPartyClient,
    client_process,
)

pytestmark = pytest.mark.node_client

BAD = {"donotemail": 1}


class NodeClient(ThirdPartyClient):
    """The client, called by its own function names."""

    def call(self, function: str, **request: object) -> Any:  # noqa: ANN401 - JSON
        """The result of a request; it is always about contacts."""
        return self.result(operation(function, **request))

    def call_error(self, function: str, **request: object) -> dict[str, Any]:
        """The error of a request."""
        return self.error(operation(function, **request))


def operation(function: str, **request: object) -> dict[str, object]:
    """A request by itself or in a batch."""
    return {"call": function, "arguments": [{"collection": "contacts", **request}]}


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeClient]:
    assert (CLIENTS / "node_modules").is_dir(), "scripts/install-clients has not been run"
    command = ("node", str(CLIENTS / "dynamics_web_api.mjs"))
    with (
        run_sandbox(tmp_path_factory.mktemp("node")) as sandbox,
        client_process(sandbox, command, trust=("NODE_EXTRA_CA_CERTS",)) as process,
    ):
        yield NodeClient(process, sandbox)


@pytest.fixture
def client(shared_client: NodeClient) -> NodeClient:
    shared_client.clear_table()
    return shared_client


@pytest.fixture
def five(client: NodeClient) -> list[str]:
    """The ids of five contacts, `p-1` to `p-5`."""
    people = [{"new_didomikey": f"p-{number}", "lastname": "Five"} for number in range(1, 6)]
    return [client.call("create", data=person) for person in people]


def test_a_created_row_has_the_id_that_the_client_returns(client: NodeClient) -> None:
    created = client.call("create", data={"new_didomikey": "a", "lastname": "Ünal"})
    read = client.call(
        "create",
        data={"new_didomikey": "b", "donotfax": True},
        returnRepresentation=True,
        select=["donotfax"],
    )
    assert client.column("contactid") == {"a": created, "b": read["contactid"]}
    assert (client.table()["a"]["lastname"], client.table()["b"]["donotfax"]) == ("Ünal", True)
    assert read["donotfax"] is True


def test_a_row_is_read_by_its_id_and_by_its_key(client: NodeClient, five: list[str]) -> None:
    columns = ["new_didomikey", "donotemail"]
    by_id = client.call("retrieve", key=five[2], select=columns, includeAnnotations="*")
    by_key = client.call("retrieve", key="new_didomikey='p-3'", select=columns)
    assert (by_id["contactid"], by_id["new_didomikey"], by_id["donotemail" + LABEL]) == (five[2], "p-3", "No")
    assert (by_key["contactid"], by_key["donotemail"]) == (five[2], False)
    assert client.call_error("retrieve", key=UNKNOWN_ID)["status"] == 404


@pytest.mark.usefixtures("five")
def test_more_rows_than_a_page_come_page_by_page(client: NodeClient) -> None:
    request = {
        "collection": "contacts",
        "select": ["new_didomikey"],
        "filter": "lastname eq 'Five' and new_didomikey ne 'p-2'",
        "orderBy": ["new_didomikey desc"],
        "maxPageSize": 3,
        "count": True,
    }
    first = client.result({"call": "retrieveMultiple", "arguments": [request]})
    second = client.result({"call": "retrieveMultiple", "arguments": [request, first["oDataNextLink"]]})
    assert [row["new_didomikey"] for row in first["value"]] == ["p-5", "p-4", "p-3"]
    assert [row["new_didomikey"] for row in second["value"]] == ["p-1"]
    assert (first["oDataCount"], "oDataNextLink" in second) == (4, False)
    every = client.call("retrieveAll", select=["new_didomikey"], maxPageSize=2)["value"]
    assert {row["new_didomikey"] for row in every} == client.table().keys()
    assert client.call("count") == client.call("count", filter="lastname eq 'Five'") == 5


def test_an_update_changes_the_columns_it_names(client: NodeClient, five: list[str]) -> None:
    client.call("update", key=five[0], data={"donotemail": True})
    client.call("updateSingleProperty", key=five[1], fieldValuePair={"firstname": "Ada"})
    read = client.call("update", key=five[2], data={"suffix": "III"}, returnRepresentation=True)
    assert list(client.column("donotemail").values()) == [True, False, False, False, False]
    assert client.table()["p-2"]["firstname"] == "Ada"
    assert (read["suffix"], client.table()["p-3"]["suffix"]) == ("III", "III")
    assert set(client.column("lastname").values()) == {"Five"}


@pytest.mark.parametrize(
    ("key", "data", "status"),
    [
        pytest.param(UNKNOWN_ID, {"lastname": "Unknown"}, 404, id="missing"),
        pytest.param("new_didomikey='p-1'", BAD, 400, id="wrong-value"),
        pytest.param("lastname='Five'", {"donotfax": True}, 400, id="no-such-key"),
    ],
)
@pytest.mark.usefixtures("five")
def test_what_cannot_be_updated_is_refused_and_left(
    client: NodeClient, key: str, data: Row, status: int
) -> None:
    before = client.table()
    assert client.call_error("update", key=key, data=data)["status"] == status
    assert client.table() == before


def test_an_upsert_by_key_creates_and_then_updates_the_same_row(client: NodeClient) -> None:
    key = "new_didomikey='d''Arc 1'"
    client.call("upsert", key=key, data={"firstname": "Jeanne", "donotbulkemail": True})
    created = client.table()["d'Arc 1"]
    client.call("upsert", key=key, data={"donotbulkemail": False})
    (updated,) = client.table().values()
    assert created["donotbulkemail"] is True
    assert (updated["contactid"], updated["firstname"]) == (created["contactid"], "Jeanne")
    assert updated["donotbulkemail"] is False


def test_an_upsert_may_be_kept_from_creating_or_from_updating(client: NodeClient) -> None:
    client.call("upsert", key="new_didomikey='a'", data={"firstname": "Kept"}, ifmatch="*")
    assert client.table() == {}
    client.call("upsert", key="new_didomikey='a'", data={"firstname": "Kept"}, ifnonematch="*")
    client.call("upsert", key="new_didomikey='a'", data={"firstname": "Lost"}, ifnonematch="*")
    assert client.column("firstname") == {"a": "Kept"}
    # This client takes a 404 or 412 to its condition as success.
    assert client.calls()["patch"] == {"404": 1, "204": 1, "412": 1}


def test_a_bulk_upsert_is_an_action_like_others(client: NodeClient, five: list[str]) -> None:
    targets = [
        {
            "@odata.type": "Microsoft.Dynamics.CRM.contact",
            "@odata.id": f"contacts(new_didomikey='p-{number}')",
            "new_newsletter": True,
        }
        for number in (5, 6)
    ]
    client.call("callAction", actionName="Microsoft.Dynamics.CRM.UpsertMultiple", action={"Targets": targets})
    assert {key for key, value in client.column("new_newsletter").items() if value} == {"p-5", "p-6"}
    assert client.table()["p-5"]["contactid"] == five[4]


def test_a_deleted_row_is_gone(client: NodeClient, five: list[str]) -> None:
    client.call("deleteRecord", key=five[0])
    client.call("deleteRecord", key="new_didomikey='p-2'")
    client.call("deleteRecord", key=five[2], property="lastname")
    assert client.column("lastname") == {"p-3": None, "p-4": "Five", "p-5": "Five"}


def test_a_batch_answers_each_operation_in_its_order(client: NodeClient, five: list[str]) -> None:
    answers = client.result(
        {
            "batch": [
                operation("create", data={"new_didomikey": "b-1", "lastname": "É"}, inChangeSet=False),
                operation("upsert", key="new_didomikey='b 2'", data={"lastname": "É"}, inChangeSet=False),
                operation("deleteRecord", key=five[0], inChangeSet=False),
                operation("retrieveMultiple", select=["new_didomikey"], filter="lastname eq 'É'"),
            ]
        }
    )
    assert client.table().keys() == {"p-2", "p-3", "p-4", "p-5", "b-1", "b 2"}
    assert answers[0] == client.table()["b-1"]["contactid"]
    assert {row["new_didomikey"] for row in answers[3]["value"]} == {"b-1", "b 2"}
    assert client.calls()["batch"] == {"200": 1}


@pytest.mark.usefixtures("five")
def test_a_change_set_is_written_whole_or_not_at_all(client: NodeClient) -> None:
    create, update = (
        operation("create", data={"new_didomikey": "c-1"}),
        operation("update", key="new_didomikey='p-1'", data={"lastname": "Changed"}),
    )
    wrong = operation("update", key="new_didomikey='p-2'", data=BAD)
    failed = client.send({"batch": [create, update, wrong]})
    assert [failure["status"] for failure in failed["failures"]] == [400]
    assert set(client.column("lastname").values()) == {"Five"}
    created, updated = client.result({"batch": [create, update]})
    assert (created, updated) == (client.table()["c-1"]["contactid"], True)
    assert client.table()["p-1"]["lastname"] == "Changed"


@pytest.mark.usefixtures("five")
def test_a_batch_may_go_on_after_a_failure(client: NodeClient) -> None:
    operations = [
        operation("update", key="new_didomikey='p-1'", data=BAD, inChangeSet=False),
        operation("update", key="new_didomikey='p-2'", data={"donotemail": True}, inChangeSet=False),
    ]
    failed, updated = client.result({"batch": operations, "options": {"continueOnError": True}})
    assert (failed["status"], failed["error"]["code"], updated) == (400, "0x0", True)
    assert client.table()["p-2"]["donotemail"] is True


def test_the_table_and_its_columns_are_described(client: NodeClient) -> None:
    contact = "LogicalName='contact'"
    listed = client.call("retrieveEntities", select=["LogicalName"], filter="IsPrivate eq false")
    assert [table["LogicalName"] for table in listed["value"]] == ["contact"]
    keys = {"property": "Keys", "select": ["KeyAttributes", "EntityKeyIndexStatus"]}
    table = client.call("retrieveEntity", key=contact, select=["EntitySetName"], expand=[keys])
    assert table["EntitySetName"] == "contacts"
    assert [(key["KeyAttributes"], key["EntityKeyIndexStatus"]) for key in table["Keys"]] == [
        (["new_didomikey"], "Active")
    ]
    lengths = client.call(
        "retrieveAttributes",
        entityKey=contact,
        castType="Microsoft.Dynamics.CRM.StringAttributeMetadata",
        select=["LogicalName", "MaxLength"],
        filter="LogicalName eq 'lastname'",
    )
    assert [column["MaxLength"] for column in lengths["value"]] == [50]
    choice = client.call(
        "retrieveAttribute",
        entityKey=contact,
        attributeKey="LogicalName='new_profiling'",
        castType="Microsoft.Dynamics.CRM.PicklistAttributeMetadata",
        expand=[{"property": "OptionSet"}],
    )
    client.call(
        "create", data={"new_didomikey": "a", "new_profiling": choice["OptionSet"]["Options"][1]["Value"]}
    )
    assert client.column("new_profiling") == {"a": 100000001}
