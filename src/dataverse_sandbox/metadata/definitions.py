"""`$metadata`, `EntityDefinitions`, `sdkmessagefilters`: what checks and wizards ask for (dataverse.md 7)."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.guid import stable_guid
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, json_response
from dataverse_sandbox.metadata.column_metadata import (
    BASE_PROPERTIES,
    CASTS,
    CRM,
    Document,
    column_document,
    key_document,
    option_set,
    table_document,
)
from dataverse_sandbox.metadata.csdl import csdl_document
from dataverse_sandbox.metadata.document_query import filter_documents, parse_expansions, select
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.column import Column
from dataverse_sandbox.table.contact_columns import standard_columns
from dataverse_sandbox.table.key_jobs import KeyJobs
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.parse_row import json_object
from dataverse_sandbox.web_api.query import METADATA_OPTIONS, QueryOptions, parse_options

_DEFINITION = re.compile(r"EntityDefinitions\((?:LogicalName='(\w+)'|([0-9a-fA-F-]{36}))\)(?:/(.+))?")
_ITEM = re.compile(r"(Attributes|Keys)\((?:LogicalName='(\w+)'|([0-9a-fA-F-]{36}))\)(?:/(.+))?")
# dataverse.md 3.4: UpsertMultiple is not listed; it works where the other two do.
_MESSAGES = ("Create", "Update", "Delete", "Retrieve", "CreateMultiple", "UpdateMultiple")


class MetadataExtension:
    """An extension of the Web API."""

    def __init__(self, table: Table, key_jobs: KeyJobs, options: SandboxOptions) -> None:
        self._table = table
        # The schema that the present request sees.
        self._schema = table.schema
        self._key_jobs = key_jobs
        self._options = options
        self._standard_columns = frozenset(column.name for column in standard_columns())

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The response about the table, its keys or its messages; None for other paths. Raises ODataError."""
        is_strong = request.headers.get("consistency", "").lower() == "strong"
        is_stale = now - self._table.published_at < self._options.metadata_delay_seconds
        self._schema = self._table.previous_schema if is_stale and not is_strong else self._table.schema
        if resource in {"$metadata", ""}:
            request.require_method("GET")
            if resource:
                content = csdl_document(self._schema, has_bulk_messages=self._options.bulk_messages)
                return Response(200, (("Content-Type", "application/xml"), ODATA_VERSION), content)
            return _service_document(base)
        if resource == "EntityDefinitions":
            return self._list(request, base, [table_document()])
        definition = _DEFINITION.fullmatch(resource)
        if definition is not None:
            if definition[1] not in {"contact", None} or definition[2] not in {None, stable_guid("contact")}:
                name = definition[1] or definition[2]
                raise errors.not_found(f"Could not find an entity with name {name}.")
            return self._answer_definition(request, definition[3], base, now)
        if resource == "ReactivateEntityKey":
            return self._reactivate_key(request, now)
        if resource == "sdkmessagefilters":
            return self._list(request, base, [_message_filter(message) for message in self._messages()])
        return None

    def _messages(self) -> list[str]:
        has_bulk = self._options.bulk_messages
        return [message for message in _MESSAGES if has_bulk or not message.endswith("Multiple")]

    def _answer_definition(self, request: Request, part: str | None, base: str, now: float) -> Response:
        """`EntityDefinitions(…)`, or `part` of it: its columns or its keys."""
        if part == "Keys" and request.method == "POST":
            return self._create_key(request, base, now)
        item = _ITEM.fullmatch(part or "")
        if request.method == "DELETE" and item is not None and item[1] == "Keys":
            self._key_jobs.delete(str(self._find_key(item)["LogicalName"]), now)
            return Response(204, (ODATA_VERSION,))
        request.require_method("GET")
        options = _parse_options(request)
        if part is None:
            document = self._expand_table(options)
            return json_response({"@odata.context": f"{base}$metadata#EntityDefinitions/$entity", **document})
        if part == "Keys":
            return self._list(request, base, self._keys())
        if item is None:
            head, _, cast = part.partition("/")
            if head != "Attributes":
                raise errors.unknown_segment(head)
            return json_response({"value": self._columns(options, cast)})
        if item[1] == "Keys":
            key = self._find_key(item)
            return json_response(select(key, options, list(key)))
        documents = self._columns(options, item[4] or "", only=item[2] or item[3])
        if not documents:
            raise _item_not_found(item)
        return json_response(documents[0])

    def _find_key(self, item: re.Match[str]) -> Document:
        for key in self._keys():
            if key["LogicalName"] == item[2] or key["MetadataId"] == item[3]:
                return key
        raise _item_not_found(item)

    def _list(self, request: Request, base: str, documents: list[Document]) -> Response:
        request.require_method("GET")
        options = _parse_options(request)
        found = [
            select(document, options, list(document)) for document in filter_documents(documents, options)
        ]
        return json_response({"@odata.context": f"{base}$metadata", "value": found})

    def _expand_table(self, options: QueryOptions) -> Document:
        document = select(table_document(), options, list(table_document()))
        for expansion in parse_expansions(options):
            match expansion.name:
                case "Attributes":
                    document["Attributes"] = self._columns(expansion.options, "")
                case "Keys":
                    keys = filter_documents(self._keys(), expansion.options)
                    document["Keys"] = [select(key, expansion.options, list(key)) for key in keys]
                case name:
                    raise errors.unknown_property(name)
        return document

    def _keys(self) -> list[Document]:
        return [key_document(key) for key in self._schema.keys.values()]

    def _columns(self, options: QueryOptions, cast: str, only: str | None = None) -> list[Document]:
        """Columns as documents; type details and `$expand` need a cast to the column's own class.

        `only` is the name or the id of the column that is asked for.
        """
        wanted = cast.removeprefix(CRM)
        if cast and (not cast.startswith(CRM) or wanted not in CASTS):
            raise errors.bad_request(f"The type '{cast}' cannot be used in a cast here.")
        expansions = parse_expansions(options)
        if expansions and not cast:
            raise errors.unknown_property(expansions[0].name)
        found: list[Document] = []
        for column in self._schema.columns.values():
            document = column_document(column, is_custom=column.name not in self._standard_columns)
            if only is not None and only not in {column.name, document["MetadataId"]}:
                continue
            is_other_class = bool(cast) and document["@odata.type"] != f"#{CRM}{wanted}"
            if is_other_class or not filter_documents([document], options):
                continue
            known = list(document) if cast else list(BASE_PROPERTIES)
            found.append({**select(document, options, known), **self._expand_column(column, options)})
        return found

    def _expand_column(self, column: Column, options: QueryOptions) -> Document:
        documents: Document = {}
        for expansion in parse_expansions(options):
            if expansion.name == "OptionSet":
                documents["OptionSet"] = option_set(column)
            elif expansion.name == "GlobalOptionSet":
                documents["GlobalOptionSet"] = None
            else:
                raise errors.unknown_property(expansion.name)
        return documents

    def _create_key(self, request: Request, base: str, now: float) -> Response:
        document = json_object(request)
        name, columns = document.get("SchemaName"), document.get("KeyAttributes")
        if not isinstance(name, str) or not isinstance(columns, list) or not columns:
            raise errors.invalid_argument("A key has a SchemaName and KeyAttributes.")
        self._key_jobs.create(name.lower(), tuple(map(str, columns)), now)
        key_id = stable_guid(f"contact.key.{name.lower()}")
        url = f"{base}EntityDefinitions({stable_guid('contact')})/Keys({key_id})"
        return Response(204, (ODATA_VERSION, ("OData-EntityId", url)))

    def _reactivate_key(self, request: Request, now: float) -> Response:
        request.require_method("POST")
        document = json_object(request)
        if document.get("EntityLogicalName") != "contact":
            raise errors.not_found("Could not find an entity with that name.")
        self._key_jobs.restart(str(document.get("EntityKeyLogicalName")), now)
        return Response(204, (ODATA_VERSION,))


def _service_document(base: str) -> Response:
    """The entity sets that the sandbox answers, as the root lists them."""
    sets = ("EntityDefinitions", "contacts", "sdkmessagefilters")
    value = [{"name": name, "kind": "EntitySet", "url": name} for name in sets]
    return json_response({"@odata.context": f"{base}$metadata", "value": value})


def _item_not_found(item: re.Match[str]) -> errors.ODataError:
    return errors.ODataError(404, "0x80060888", f"Could not find '{item[2] or item[3]}' in contact.")


def _parse_options(request: Request) -> QueryOptions:
    return parse_options(request.query, METADATA_OPTIONS)


def _message_filter(message: str) -> Document:
    return {
        "sdkmessagefilterid": stable_guid(f"filter.{message}"),
        "sdkmessageid": {"name": message},
        "primaryobjecttypecode": "contact",
    }
