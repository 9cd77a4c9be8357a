"""dataverse.md 3.1-3.3: the bytes of a batch, in and out."""

import json
import re

import httpx
import pytest
from tests.contract.dataverse_sandbox.batches import (
    BOUNDARY,
    GO_ON,
    HEADERS,
    answers,
    batch,
    change_set,
    part,
    patch,
)

from dataverse_sandbox.messages import Request
from dataverse_sandbox.web_api.multipart import Part, parse_batch

ROW = "/api/data/v9.2/contacts(new_didomikey='customer-0001')"
WRONG = '{"donotemail":1}'


async def statuses(response: httpx.Response) -> list[int]:
    return [answer.status for answer in answers(response.headers["Content-Type"], response.content)]


async def is_held(api: httpx.AsyncClient, key: str) -> bool:
    return (await api.get(f"contacts(new_didomikey='{key}')")).status_code == 200


async def test_with_continue_on_error_every_part_is_answered_in_order(api: httpx.AsyncClient) -> None:
    body = batch(
        patch("customer-0001", If_Match="*"),
        patch("unknown", If_Match="*"),
        patch("customer-0002", WRONG),
        part("GET", f"{ROW}?$select=donotemail", Accept="application/json"),
        patch("new", Prefer="return=representation"),
    )

    response = await api.post("$batch", content=body, headers=GO_ON)

    assert response.status_code == 200
    assert await statuses(response) == [204, 404, 400, 200, 201]
    found = answers(response.headers["Content-Type"], response.content)
    assert '"donotemail":true' in found[3].body
    assert '"code":"0x80060891"' in found[1].body
    assert re.search(r"^REQ_ID: \S+", found[1].text, re.MULTILINE)


async def test_without_it_the_first_failure_ends_the_batch(api: httpx.AsyncClient) -> None:
    body = batch(patch("first"), patch("second", WRONG), patch("third"))

    response = await api.post("$batch", content=body, headers=HEADERS)

    assert response.status_code == 400
    assert await statuses(response) == [204, 400]
    assert [await is_held(api, key) for key in ("first", "second", "third")] == [True, False, False]


async def test_the_answer_has_the_recorded_byte_form(api: httpx.AsyncClient) -> None:
    response = await api.post("$batch", content=batch(patch("customer-0001")), headers=GO_ON)

    boundary = response.headers["Content-Type"].removeprefix("multipart/mixed; boundary=")
    assert boundary.startswith("batchresponse_")
    assert response.content.decode() == (
        f"--{boundary}\r\n"
        "Content-Type: application/http\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "\r\n"
        "HTTP/1.1 204 No Content\r\n"
        "OData-Version: 4.0\r\n"
        f"OData-EntityId: https://sandbox.test{ROW}\r\n"
        "\r\n"
        "\r\n"
        f"--{boundary}--\r\n"
    )


async def test_a_create_is_recognized_by_its_location(api: httpx.AsyncClient) -> None:
    response = await api.post("$batch", content=batch(patch("new"), patch("new")), headers=GO_ON)

    first, second = answers(response.headers["Content-Type"], response.content)
    assert "\r\nLocation: " in first.text
    assert "\r\nLocation: " not in second.text


@pytest.mark.parametrize(
    "url", ["https://sandbox.test" + ROW, ROW, ROW.replace("v9.2", "v9.1"), ROW.replace("'", "%27")]
)
async def test_inner_urls_may_be_paths_or_absolute(api: httpx.AsyncClient, url: str) -> None:
    body = batch(part("PATCH", url, '{"donotemail":true}'))

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [204]


async def test_an_empty_line_may_come_before_the_first_delimiter(api: httpx.AsyncClient) -> None:
    inner = change_set(patch("a", content_id="1"))
    body = b"\r\n" + batch(
        patch("customer-0001"), inner.replace("--changeset_1\r\n", "\r\n--changeset_1\r\n", 1)
    )

    response = await api.post("$batch", content=body, headers=GO_ON)

    assert (response.status_code, await statuses(response)) == (200, [204, 204])


async def test_an_inner_url_ends_at_the_last_blank(api: httpx.AsyncClient) -> None:
    """Within a batch a filter may hold raw blanks: only the first and the last blank separate."""
    url = "/api/data/v9.2/contacts?$filter=lastname eq 'Two  words' and donotfax ne true"
    await api.patch("contacts(new_didomikey='customer-0002')", json={"lastname": "Two  words"})

    response = await api.post("$batch", content=batch(part("GET", url)), headers=GO_ON)

    (answer,) = answers(response.headers["Content-Type"], response.content)
    assert [row["new_didomikey"] for row in json.loads(answer.body)["value"]] == ["customer-0002"]


GOOD = batch(patch("customer-0001"), patch("customer-0002"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(GOOD.replace(b"\r\n", b"\n"), None, id="bare-line-feeds"),
        pytest.param(
            GOOD.replace(b"binary\r\n", b"binary\n", 1), None, id="one-bare-line-feed-in-a-part-head"
        ),
        pytest.param(
            GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n", 1), None, id="one-bare-line-feed-in-a-request"
        ),
        pytest.param(
            batch(patch("customer-0001", If_Match="*")).replace(b"entry\r\n", b"entry\n"),
            None,
            id="one-bare-line-feed-between-headers",
        ),
        pytest.param(GOOD.replace(b"--\r\n", b""), None, id="no-closing-delimiter"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(f"--{BOUNDARY}--\r\n".encode(), None, id="no-parts"),
        pytest.param(b"preamble\r\n" + GOOD, None, id="preamble"),
        pytest.param(GOOD, "multipart/mixed", id="no-boundary"),
        pytest.param(GOOD, "application/json", id="another-content-type"),
        pytest.param(GOOD, "multipart/mixed; boundary=other", id="another-boundary"),
        pytest.param(GOOD.replace(b"application/http", b"text/plain", 1), None, id="part-content-type"),
        pytest.param(GOOD.replace(b": binary", b": 8bit", 1), None, id="part-transfer-encoding"),
        pytest.param(GOOD.replace(b" HTTP/1.1", b"", 1), None, id="request-line-without-version"),
        pytest.param(GOOD.replace(b"PATCH /api", b"PATCH  /api", 1), None, id="two-blanks-before-the-url"),
        pytest.param(GOOD.replace(b" HTTP/1.1", b"\r HTTP/1.1", 1), None, id="control-character-in-the-url"),
        pytest.param(GOOD.replace(b"PATCH /api", b"PATCH api", 1), None, id="relative-inner-url"),
        pytest.param(GOOD.replace(b"PATCH /", b"PATCH https://other.test/", 1), None, id="another-host"),
        pytest.param(batch(part("GET", ROW).removesuffix("\r\n\r\n")), None, id="get-without-an-empty-line"),
        pytest.param(batch(*[patch("customer-0001")] * 1001), None, id="1001-requests"),
        pytest.param(batch(change_set(patch("a"), patch("b"))), None, id="change-set-without-content-ids"),
        pytest.param(
            batch(change_set(patch("a", content_id="1"), patch("b", content_id="1"))), None, id="id-twice"
        ),
    ],
)
async def test_a_malformed_batch_is_refused_as_a_whole(
    api: httpx.AsyncClient, body: bytes, content_type: str | None
) -> None:
    """dataverse.md 3.2: plain JSON, no parts; nothing was executed."""
    headers = GO_ON | ({} if content_type is None else {"Content-Type": content_type})

    response = await api.post("$batch", content=body, headers=headers)

    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["error"]["code"] == "0x80048d19"
    assert (await api.get("contacts(new_didomikey='customer-0001')")).json()["donotemail"] is False


async def test_a_get_ends_with_one_empty_line_or_two(api: httpx.AsyncClient) -> None:
    body = batch(part("GET", ROW).removesuffix("\r\n"), part("GET", ROW))

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [200, 200]


async def test_a_thousand_requests_are_accepted(api: httpx.AsyncClient) -> None:
    body = batch(*[patch(f"k-{number}") for number in range(1000)])

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [204] * 1000


async def test_a_batch_in_a_batch_is_refused(api: httpx.AsyncClient) -> None:
    body = batch(part("POST", "/api/data/v9.2/$batch", "{}"), patch("customer-0001"))

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [400, 204]


async def test_a_raw_number_sign_in_an_inner_url_is_an_error_of_that_part(api: httpx.AsyncClient) -> None:
    response = await api.post("$batch", content=batch(patch("a#b"), patch("a%23b")), headers=GO_ON)

    found = answers(response.headers["Content-Type"], response.content)
    assert [answer.status for answer in found] == [400, 404]
    assert '"0x8006088a"' in found[0].body
    assert '"0x80060891"' in found[1].body


async def test_json_over_several_lines_is_accepted(api: httpx.AsyncClient) -> None:
    """Only the multipart frame must use CRLF."""
    body = batch(patch("customer-0001", '{\n  "donotemail": true\n}\n'))

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [204]


async def test_a_change_set_is_committed_as_one(api: httpx.AsyncClient) -> None:
    body = batch(change_set(patch("a", content_id="1"), patch("b", content_id="2")), patch("c"))

    response = await api.post("$batch", content=body, headers=HEADERS)

    assert response.status_code == 200
    assert await statuses(response) == [204, 204, 204]
    assert b"multipart/mixed; boundary=changesetresponse_" in response.content
    assert b"Content-ID: 2\r\n" in response.content


@pytest.mark.parametrize(("headers", "expected"), [(GO_ON, [400, 204]), (HEADERS, [400])])
async def test_a_failed_change_set_leaves_no_trace(
    api: httpx.AsyncClient, headers: dict[str, str], expected: list[int]
) -> None:
    failing = change_set(
        patch("fresh", content_id="1"),
        patch("customer-0001", '{"emailaddress1":"moved@example.com"}', content_id="2"),
        part("DELETE", "/api/data/v9.2/contacts(new_didomikey='customer-0002')", content_id="3"),
        patch("customer-0003", WRONG, content_id="4"),
    )
    before = (await api.get("contacts(new_didomikey='customer-0001')")).json()
    assert len((await api.get("contacts?$filter=emailaddress1 eq 'moved@example.com'")).json()["value"]) == 0

    response = await api.post("$batch", content=batch(failing, patch("after")), headers=headers)

    assert await statuses(response) == expected
    assert b"changesetresponse" not in response.content
    assert not await is_held(api, "fresh")
    assert await is_held(api, "customer-0002")
    assert (await api.get("contacts(new_didomikey='customer-0001')")).json() == before
    assert len((await api.get("contacts?$filter=emailaddress1 eq 'moved@example.com'")).json()["value"]) == 0


async def test_a_change_set_may_refer_to_a_row_that_it_created(api: httpx.AsyncClient) -> None:
    body = batch(
        change_set(
            part("POST", "/api/data/v9.2/contacts", '{"new_didomikey":"made"}', "1"),
            part("PATCH", "$1", '{"firstname":"A"}', "2"),
        )
    )

    assert await statuses(await api.post("$batch", content=body, headers=HEADERS)) == [204, 204]
    assert (await api.get("contacts(new_didomikey='made')")).json()["firstname"] == "A"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(part("PATCH", "$2", '{"firstname":"A"}', "1"), id="forward-reference"),
        pytest.param(part("GET", ROW, None, "1"), id="get"),
    ],
)
async def test_a_change_set_refuses(api: httpx.AsyncClient, change: str) -> None:
    body = batch(change_set(change, patch("b", content_id="2")))

    assert await statuses(await api.post("$batch", content=body, headers=GO_ON)) == [400]
    assert not await is_held(api, "b")


def test_a_body_that_looks_like_a_delimiter_of_another_boundary_stays_whole() -> None:
    text = f'{{"description":"--{BOUNDARY}x"}}'
    outer = Request(
        "POST",
        "/api/data/v9.2/$batch",
        "",
        {"content-type": HEADERS["Content-Type"]},
        batch(patch("a", text)),
    )

    (item,) = parse_batch(outer, 1000)

    assert isinstance(item, Part)
    assert item.request.body == text.encode()
