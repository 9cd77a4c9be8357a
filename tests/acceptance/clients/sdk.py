"""Runs Microsoft's Python client, as it is published, on what a test asks: a line of JSON in, a line out.

    python sdk.py sync|async

It runs in a process of its own, because that client has no option for a private certification authority:
its HTTP libraries read theirs from the environment, one of them when it is imported. `READY` in the
environment is what the sandbox printed when it was ready.
"""

import asyncio
import dataclasses
import inspect
import json
import operator
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from PowerPlatform.Dataverse import DataverseClient, col
from PowerPlatform.Dataverse.aio import AsyncDataverseClient
from PowerPlatform.Dataverse.core.errors import DataverseError
from PowerPlatform.Dataverse.models.record import QueryResult, Record

Wish = dict[str, Any]


def secret_of(ready: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a credential: an authority of one's own, and who vouches for its certificate."""
    return {
        "tenant_id": ready["tenant_id"],
        "client_id": ready["client_id"],
        "client_secret": ready["client_secret"],
        "authority": ready["url"],
        "disable_instance_discovery": True,
        "connection_verify": ready["ca_bundle"],
    }


def member(client: object, path: str) -> Any:  # noqa: ANN401 - any method of the client
    """`records.create` → that bound method."""
    return operator.attrgetter(path)(client)


def prepared_batch(client: Any, operations: list[Wish]) -> Any:  # noqa: ANN401 - of either client
    """A batch that holds these operations; a list among them is a change set."""
    batch = client.batch.new()
    for wish in operations:
        changes = wish.get("changes")
        if changes is None:
            member(batch, wish["do"])(*wish.get("with", ()), **wish.get("named", {}))
            continue
        change_set = batch.changeset()
        for change in changes:
            member(change_set, change["do"])(*change.get("with", ()), **change.get("named", {}))
    return batch


def prepared_query(client: Any, table: str, steps: list[list[Any]]) -> Any:  # noqa: ANN401 - of either client
    """A query of the fluent builder; the step `where` is column, comparison, value."""
    query = client.query.builder(table)
    for name, *given in steps:
        if name == "where":
            column, comparison, value = given
            query = query.where(getattr(operator, comparison)(col(column), value))
        else:
            query = getattr(query, name)(*given)
    return query


def called(client: Any, wish: Wish) -> Any:  # noqa: ANN401 - of either client
    """What the client returned: a value, something to iterate over, or something to wait for."""
    if "batch" in wish:
        return prepared_batch(client, wish["batch"]).execute(**wish.get("named", {}))
    if "query" in wish:
        return prepared_query(client, wish["query"], wish["steps"]).execute_pages()
    return member(client, wish["do"])(*wish.get("with", ()), **wish.get("named", {}))


def plain(value: object) -> object:
    """The client's own types as JSON."""
    match value:
        case QueryResult():
            return [plain(record) for record in value.records]
        case Record():
            return {"id": value.id, "etag": value.etag, **value.data}
        case dict():
            return {name: plain(one) for name, one in value.items()}
        case list():
            return [plain(one) for one in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return value


def failure(error: DataverseError | ClientAuthenticationError) -> Wish:
    """What the client raised, as a caller would look at it."""
    given = error.details if isinstance(error, DataverseError) else {}
    return {
        "raised": type(error).__name__,
        "message": str(error),
        "status": getattr(error, "status_code", None),
        "code": given.get("service_error_code"),
        "retry_after": given.get("retry_after"),
        "is_transient": getattr(error, "is_transient", None),
    }


def answer(found: Wish) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def serve_sync(ready: Mapping[str, str]) -> None:
    """Until its input ends."""
    with DataverseClient(ready["url"], ClientSecretCredential(**secret_of(ready))) as client:
        for line in sys.stdin:
            try:
                found = called(client, json.loads(line))
                answer({"gave": plain(list(found) if isinstance(found, Iterator) else found)})
            except (DataverseError, ClientAuthenticationError) as error:
                answer(failure(error))


async def serve_async(ready: Mapping[str, str]) -> None:
    """Until its input ends."""
    async with (
        AsyncClientSecretCredential(**secret_of(ready)) as credential,
        AsyncDataverseClient(ready["url"], credential) as client,
    ):
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                found = called(client, json.loads(line))
                if isinstance(found, AsyncIterator):
                    found = [one async for one in found]
                elif inspect.isawaitable(found):
                    found = await found
                answer({"gave": plain(found)})
            except (DataverseError, ClientAuthenticationError) as error:
                answer(failure(error))


if __name__ == "__main__":
    place = json.loads(os.environ["READY"])
    if sys.argv[1] == "sync":
        serve_sync(place)
    else:
        asyncio.run(serve_async(place))
