"""Every form of request that is not a `$batch`, byte for byte (dataverse.md 1.3, 1.4, 2.1 and 3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import pytest
import respx

from didomi_dataverse.dataverse.bulk_body import BulkMessage, encode_creations, encode_updates
from didomi_dataverse.dataverse.calls import AvailabilityCall, BulkCall, SingleCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.requests import (
    AlternateKey,
    Condition,
    LookUp,
    Request,
    Resolve,
    RowId,
    Write,
)

from .fakes import ONE

GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"
OTHER_GUID = "6f1c2d3e-0000-4000-8000-00000000abce"
KEY = AlternateKey("new_didomikey", "u-42")
API = b"/api/data/v9.2/"
NAMES = 'odata.include-annotations="*"'
READS = {"accept": "application/json", "prefer": NAMES}
WRITES = {"accept": "application/json", "content-type": "application/json; type=entry", "prefer": NAMES}
CALLS = {"accept": "application/json", "content-type": "application/json", "prefer": NAMES}


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out, without what is the same for all."""

    method: str
    path: bytes
    headers: Mapping[str, str]
    content: bytes = b""


@pytest.fixture
def wire(api: respx.MockRouter) -> respx.Route:
    """Takes any request and answers what none of the tests looks at."""
    return api.route().mock(return_value=httpx.Response(204))


def sent(wire: respx.Route) -> Sent:
    """The one request, after what every request must have."""
    request = wire.calls.last.request
    assert wire.call_count == 1
    headers = dict(request.headers)
    for name, value in {
        "host": "acme.crm4.dynamics.com",
        "connection": "keep-alive",
        "authorization": "Bearer token-1",
        "odata-maxversion": "4.0",
        "odata-version": "4.0",
        "x-ms-client-request-id": str(ONE),
    }.items():
        assert headers.pop(name) == value
    assert headers.pop("user-agent").startswith("didomi-dataverse/")
    assert headers.pop("accept-encoding")
    if request.content:
        assert headers.pop("content-length") == str(len(request.content))
    return Sent(request.method, request.url.raw_path, headers, request.content)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            Write(KEY, Condition.UPDATE_ONLY, {"donotbulkemail": True, "new_newsletter": None}),
            Sent(
                "PATCH",
                API + b"contacts(new_didomikey='u-42')",
                WRITES | {"if-match": "*"},
                b'{"donotbulkemail":true,"new_newsletter":null}',
            ),
            id="update by key",
        ),
        pytest.param(
            Write(KEY, Condition.CREATE_ONLY, {"lastname": "Müller"}),
            Sent(
                "PATCH",
                API + b"contacts(new_didomikey='u-42')",
                WRITES | {"if-none-match": "*"},
                '{"lastname":"Müller"}'.encode(),
            ),
            id="create by key: the key stands in the URL alone",
        ),
        pytest.param(
            Write(RowId(GUID), Condition.UPDATE_ONLY, {"new_frequency": 2}),
            Sent(
                "PATCH",
                API + f"contacts({GUID})".encode(),
                WRITES | {"if-match": "*"},
                b'{"new_frequency":2}',
            ),
            id="update by row id",
        ),
        pytest.param(
            Write(AlternateKey("new_didomikey", "O'Néil 7"), Condition.UPDATE_ONLY, {"donotemail": False}),
            Sent(
                "PATCH",
                API + b"contacts(new_didomikey='O%27%27N%C3%A9il%207')",
                WRITES | {"if-match": "*"},
                b'{"donotemail":false}',
            ),
            id="a quote is doubled, the rest is encoded once",
        ),
        pytest.param(
            LookUp("emailaddress1", "a+b&c@acme.example", at_most=3),
            Sent(
                "GET",
                API + b"contacts?$select=contactid"
                b"&$filter=emailaddress1%20eq%20'a%2Bb%26c%40acme.example'&$top=3",
                READS,
            ),
            id="look-up by a value that no key URL carries",
        ),
        pytest.param(
            Resolve(KEY),
            Sent("GET", API + b"contacts(new_didomikey='u-42')?$select=contactid", READS),
            id="which row a key names",
        ),
    ],
)
async def test_a_request_alone(
    client: DataverseClient, wire: respx.Route, request_: Request, expected: Sent
) -> None:
    await client.send(SingleCall(request_))

    assert sent(wire) == expected


async def test_update_multiple(client: DataverseClient, wire: respx.Route) -> None:
    writes = [Write(KEY, Condition.UPDATE_ONLY, {"donotemail": value}) for value in (True, False)]
    body = encode_updates(list(zip(writes, (GUID, OTHER_GUID), strict=True)))

    await client.send(BulkCall(BulkMessage.UPDATE, writes, body))

    assert sent(wire) == Sent(
        "POST",
        API + b"contacts/Microsoft.Dynamics.CRM.UpdateMultiple",
        CALLS,
        b'{"Targets":['
        b'{"@odata.type":"Microsoft.Dynamics.CRM.contact",'
        b'"contactid":"6f1c2d3e-0000-4000-8000-00000000abcd","donotemail":true},'
        b'{"@odata.type":"Microsoft.Dynamics.CRM.contact",'
        b'"contactid":"6f1c2d3e-0000-4000-8000-00000000abce","donotemail":false}]}',
    )


async def test_create_multiple(client: DataverseClient, wire: respx.Route) -> None:
    writes = [Write(KEY, Condition.CREATE_ONLY, {"lastname": "Lovelace", "donotemail": True})]

    await client.send(BulkCall(BulkMessage.CREATE, writes, encode_creations(writes)))

    assert sent(wire) == Sent(
        "POST",
        API + b"contacts/Microsoft.Dynamics.CRM.CreateMultiple",
        CALLS,
        b'{"Targets":[{"@odata.type":"Microsoft.Dynamics.CRM.contact",'
        b'"new_didomikey":"u-42","lastname":"Lovelace","donotemail":true}]}',
    )


async def test_is_a_bulk_message_there(client: DataverseClient, wire: respx.Route) -> None:
    await client.send(AvailabilityCall(BulkMessage.UPDATE))

    assert sent(wire) == Sent(
        "GET",
        API + b"sdkmessagefilters?$select=sdkmessagefilterid"
        b"&$filter=sdkmessageid/name%20eq%20@m%20and%20primaryobjecttypecode%20eq%20@t"
        b"&@m=%27UpdateMultiple%27&@t=%27contact%27",
        {"accept": "application/json"},
    )
