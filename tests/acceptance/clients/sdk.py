"""Runs Microsoft's Python client, as it is published, for a test: a line of JSON in, a line of JSON out.

    python sdk.py sync|async

It runs in a process of its own: that client has no option for a private certification authority. Its HTTP
libraries read theirs from the environment, one of them when it is imported. The variable `READY` holds the
ready line of the sandbox.
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

Json = dict[str, Any]


def credential_arguments(ready: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a credential: the sandbox as its authority, and the bundle that certifies it."""
    return {
        "tenant_id": ready["tenant_id"],
        "client_id": ready["client_id"],
        "client_secret": ready["client_secret"],
        "authority": ready["url"],
        "disable_instance_discovery": True,
        "connection_verify": ready["ca_bundle"],
    }


def apply(target: object, request: Json) -> Any:  # noqa: ANN401 - any method of the client
    """Call the method of `target` that the request names, such as `records.create`."""
    method = operator.attrgetter(request["call"])(target)
    return method(*request.get("arguments", ()), **request.get("keywords", {}))


def build_batch(client: Any, operations: list[Json]) -> Any:  # noqa: ANN401 - of either client
    """A batch that holds these operations; a list among them is a change set."""
    batch = client.batch.new()
    for operation in operations:
        changes = operation.get("changes")
        if changes is None:
            apply(batch, operation)
            continue
        change_set = batch.changeset()
        for change in changes:
            apply(change_set, change)
    return batch


def build_query(client: Any, table: str, steps: list[list[Any]]) -> Any:  # noqa: ANN401 - of either client
    """A query of the fluent builder; the step `where` is column, comparison, value."""
    query = client.query.builder(table)
    for name, *arguments in steps:
        if name == "where":
            column, comparison, value = arguments
            query = query.where(getattr(operator, comparison)(col(column), value))
        else:
            query = getattr(query, name)(*arguments)
    return query


def call(client: Any, request: Json) -> Any:  # noqa: ANN401 - of either client
    """What the client returns: a value, an iterator, or an awaitable."""
    if "batch" in request:
        return build_batch(client, request["batch"]).execute(**request.get("keywords", {}))
    if "query" in request:
        return build_query(client, request["query"], request["steps"]).execute_pages()
    return apply(client, request)


def to_json(value: object) -> object:
    """A value of the client's own types as JSON."""
    match value:
        case QueryResult():
            return [to_json(record) for record in value.records]
        case Record():
            return {"id": value.id, "etag": value.etag, **value.data}
        case dict():
            return {name: to_json(one) for name, one in value.items()}
        case list():
            return [to_json(one) for one in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return value


def describe(error: DataverseError | ClientAuthenticationError) -> Json:
    """An error that the client raised, with what a caller can read from it."""
    details = error.details if isinstance(error, DataverseError) else {}
    return {
        "raised": type(error).__name__,
        "message": str(error),
        "status": getattr(error, "status_code", None),
        "code": details.get("service_error_code"),
        "retry_after": details.get("retry_after"),
        "is_transient": getattr(error, "is_transient", None),
    }


def answer(outcome: Json) -> None:
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()


def serve_sync(ready: Mapping[str, str]) -> None:
    """Answer each line until the input ends."""
    with DataverseClient(ready["url"], ClientSecretCredential(**credential_arguments(ready))) as client:
        for line in sys.stdin:
            try:
                result = call(client, json.loads(line))
                answer({"returned": to_json(list(result) if isinstance(result, Iterator) else result)})
            except (DataverseError, ClientAuthenticationError) as error:
                answer(describe(error))


async def serve_async(ready: Mapping[str, str]) -> None:
    """Answer each line until the input ends."""
    async with (
        AsyncClientSecretCredential(**credential_arguments(ready)) as credential,
        AsyncDataverseClient(ready["url"], credential) as client,
    ):
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                result = call(client, json.loads(line))
                if isinstance(result, AsyncIterator):
                    result = [one async for one in result]
                elif inspect.isawaitable(result):
                    result = await result
                answer({"returned": to_json(result)})
            except (DataverseError, ClientAuthenticationError) as error:
                answer(describe(error))


if __name__ == "__main__":
    ready_line = json.loads(os.environ["READY"])
    if sys.argv[1] == "sync":
        serve_sync(ready_line)
    else:
        asyncio.run(serve_async(ready_line))
