"""`$metadata`, `EntityDefinitions`, `sdkmessagefilters`, privileges: what checks and wizards ask for."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, json_response
from dataverse_sandbox.metadata import csdl
from dataverse_sandbox.metadata.column_metadata import (
    BASE_PROPERTIES,
    CASTS,
    CRM,
    Document,
    column_document,
    key_document,
    metadata_id,
    option_set,
    table_document,
)
from dataverse_sandbox.metadata.document_query import expansions, matching, select
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import Column
from dataverse_sandbox.table.contact_columns import standard_columns
from dataverse_sandbox.table.key_jobs import KeyJobs
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.users import APPEND, APPEND_TO, CREATE, DELETE, KNOWN, READ, WRITE, User, Users
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.query import METADATA_OPTIONS, Options, parse_options
from dataverse_sandbox.web_api.routing import json_object, only_method

_DEFINITION = re.compile(r"EntityDefinitions\((?:LogicalName='(\w+)'|([0-9a-fA-F-]{36}))\)(?:/(.+))?")
_ONE = re.compile(r"(Attributes|Keys)\((?:LogicalName='(\w+)'|([0-9a-fA-F-]{36}))\)(?:/(.+))?")
_PRIVILEGE = re.compile(
    r"systemusers\(([0-9a-fA-F-]{36})\)/Microsoft\.Dynamics\.CRM\."
    r"(?:RetrieveUserPrivilegeByPrivilegeName\(PrivilegeName='(\w+)'\)|RetrieveUserPrivileges(?:\(\))?)"
)
# dataverse.md 3.4: UpsertMultiple has no row of its own, it works where the other two do.
_MESSAGES = ("Create", "Update", "Delete", "Retrieve", "CreateMultiple", "UpdateMultiple")
_ACCESS = re.compile(
    r"systemusers\(([0-9a-fA-F-]{36})\)/Microsoft\.Dynamics\.CRM\.RetrievePrincipalAccess\(Target=(@\w+)\)"
)
_ROW = re.compile(r"\{\s*'@odata\.id'\s*:\s*'/?contacts\((.+)\)'\s*\}")
_ACCESS_RIGHTS = {
    READ: "ReadAccess",
    WRITE: "WriteAccess",
    APPEND: "AppendAccess",
    APPEND_TO: "AppendToAccess",
    CREATE: "CreateAccess",
    DELETE: "DeleteAccess",
}


class Metadata:
    """An extension of the Web API (dataverse.md 7)."""

    def __init__(
        self, table: Table, key_jobs: KeyJobs, switches: Switches, users: Users, business_unit_id: str
    ) -> None:
        self._table = table
        self._shown = table.schema
        self._key_jobs = key_jobs
        self._switches = switches
        self._users = users
        self._business_unit_id = business_unit_id
        self._standard = frozenset(column.name for column in standard_columns())

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The answer about the table, its messages or the caller's rights; None for another path."""
        is_strong = request.headers.get("consistency", "").lower() == "strong"
        is_late = now - self._table.published_at < self._switches.metadata_delay_seconds
        self._shown = self._table.schema_before if is_late and not is_strong else self._table.schema
        if resource in {"$metadata", ""}:
            only_method(request, "GET")
            if resource:
                content = csdl.document(self._shown, has_bulk_messages=self._switches.bulk_messages)
                return Response(200, (("Content-Type", "application/xml"), ODATA_VERSION), content)
            return _service_document(base)
        if resource == "EntityDefinitions":
            return self._list(request, base, [table_document()])
        found = _DEFINITION.fullmatch(resource)
        if found is not None:
            if found[1] not in {"contact", None} or found[2] not in {None, metadata_id("contact")}:
                name = found[1] or found[2]
                raise errors.Refusal(404, "0x80040217", f"Could not find an entity with name {name}.")
            return self._definition(request, found[3], base, now)
        if resource == "ReactivateEntityKey":
            return self._reactivate(request, now)
        if resource == "sdkmessagefilters":
            return self._list(request, base, [_message_filter(message) for message in self._messages()])
        rights = _PRIVILEGE.fullmatch(resource)
        if rights is not None:
            return self._rights(rights[1], rights[2], base)
        access = _ACCESS.fullmatch(resource)
        return None if access is None else self._access(request, access[1], access[2], base)

    def _messages(self) -> list[str]:
        has_bulk = self._switches.bulk_messages
        return [message for message in _MESSAGES if has_bulk or not message.endswith("Multiple")]

    def _definition(self, request: Request, part: str | None, base: str, now: float) -> Response:
        if part == "Keys" and request.method == "POST":
            return self._create_key(request, base, now)
        one = _ONE.fullmatch(part or "")
        if request.method == "DELETE" and one is not None and one[1] == "Keys":
            self._key_jobs.drop(str(self._key(one)["LogicalName"]), now)
            return Response(204, (ODATA_VERSION,))
        only_method(request, "GET")
        options = _options(request)
        if part is None:
            document = self._expanded_table(options)
            return json_response({"@odata.context": f"{base}$metadata#EntityDefinitions/$entity", **document})
        if part == "Keys":
            return self._list(request, base, self._keys())
        if one is None:
            head, _, cast = part.partition("/")
            if head != "Attributes":
                raise errors.unknown_segment(head)
            return json_response({"value": self._attributes(options, cast)})
        if one[1] == "Keys":
            key = self._key(one)
            return json_response(select(key, options, list(key)))
        documents = self._attributes(options, one[4] or "", only=one[2] or one[3])
        if not documents:
            raise _not_found(one)
        return json_response(documents[0])

    def _key(self, named: re.Match[str]) -> Document:
        for key in self._keys():
            if key["LogicalName"] == named[2] or key["MetadataId"] == named[3]:
                return key
        raise _not_found(named)

    def _list(self, request: Request, base: str, documents: list[Document]) -> Response:
        only_method(request, "GET")
        options = _options(request)
        found = [select(document, options, list(document)) for document in matching(documents, options)]
        return json_response({"@odata.context": f"{base}$metadata", "value": found})

    def _expanded_table(self, options: Options) -> Document:
        document = select(table_document(), options, list(table_document()))
        for expansion in expansions(options):
            match expansion.name:
                case "Attributes":
                    document["Attributes"] = self._attributes(expansion.options, "")
                case "Keys":
                    keys = matching(self._keys(), expansion.options)
                    document["Keys"] = [select(key, expansion.options, list(key)) for key in keys]
                case name:
                    raise errors.no_such_property(name)
        return document

    def _keys(self) -> list[Document]:
        return [key_document(key) for key in self._shown.keys.values()]

    def _attributes(self, options: Options, cast: str, only: str | None = None) -> list[Document]:
        """Columns as documents; type details and `$expand` need a cast to the column's own class."""
        wanted = cast.removeprefix(CRM)
        if cast and (not cast.startswith(CRM) or wanted not in CASTS):
            raise errors.Refusal(400, "0x0", f"The type '{cast}' cannot be used in a cast here.")
        asked = expansions(options)
        if asked and not cast:
            raise errors.no_such_property(asked[0].name)
        found: list[Document] = []
        for column in self._shown.columns.values():
            document = column_document(column, is_custom=column.name not in self._standard)
            if only is not None and only not in {column.name, document["MetadataId"]}:
                continue
            if (cast and document["@odata.type"] != f"#{CRM}{wanted}") or not matching([document], options):
                continue
            known = list(document) if cast else list(BASE_PROPERTIES)
            found.append({**select(document, options, known), **self._expanded(column, options)})
        return found

    def _expanded(self, column: Column, options: Options) -> Document:
        documents: Document = {}
        for expansion in expansions(options):
            if expansion.name == "OptionSet":
                documents["OptionSet"] = option_set(column)
            elif expansion.name == "GlobalOptionSet":
                documents["GlobalOptionSet"] = None
            else:
                raise errors.no_such_property(expansion.name)
        return documents

    def _create_key(self, request: Request, base: str, now: float) -> Response:
        document = json_object(request)
        name, columns = document.get("SchemaName"), document.get("KeyAttributes")
        if not isinstance(name, str) or not isinstance(columns, list) or not columns:
            raise errors.Refusal(400, "0x80040203", "A key has a SchemaName and KeyAttributes.")
        self._key_jobs.create(name.lower(), tuple(map(str, columns)), now)
        made = metadata_id(f"contact.key.{name.lower()}")
        url = f"{base}EntityDefinitions({metadata_id('contact')})/Keys({made})"
        return Response(204, (ODATA_VERSION, ("OData-EntityId", url)))

    def _reactivate(self, request: Request, now: float) -> Response:
        only_method(request, "POST")
        document = json_object(request)
        if document.get("EntityLogicalName") != "contact":
            raise errors.Refusal(404, "0x80040217", "Could not find an entity with that name.")
        self._key_jobs.restart(str(document.get("EntityKeyLogicalName")), now)
        return Response(204, (ODATA_VERSION,))

    def _rights(self, user_id: str, privilege: str | None, base: str) -> Response:
        user = self._user(user_id)
        if privilege is not None and not privilege.startswith("prv"):
            raise errors.Refusal(400, "0x80040203", f"There is no privilege '{privilege}'.")
        held = [name for name in KNOWN if name in user.privileges and privilege in {None, name}]
        rights = [
            {
                "Depth": "Global",
                "PrivilegeId": metadata_id(name),
                "BusinessUnitId": self._business_unit_id,
                "PrivilegeName": name,
                "RecordFilterId": "00000000-0000-0000-0000-000000000000",
                "RecordFilterUniqueName": "",
            }
            for name in held
        ]
        context = f"{base}$metadata#{CRM}RetrieveUserPrivilegesResponse"
        return json_response({"@odata.context": context, "RolePrivileges": rights})

    def _access(self, request: Request, user_id: str, alias: str, base: str) -> Response:
        """The user's rights on one row; here they reach every row alike."""
        user = self._user(user_id)
        row = _ROW.fullmatch(parse_options(request.query, frozenset()).aliases.get(alias, ""))
        if row is None:
            raise errors.query_syntax("'Target' takes {'@odata.id':'contacts(…)'} through a parameter alias.")
        self._table.get(parse_address(row[1], self._table.schema, self._switches))
        held = [word for privilege, word in _ACCESS_RIGHTS.items() if privilege in user.privileges]
        context = f"{base}$metadata#{CRM}RetrievePrincipalAccessResponse"
        return json_response({"@odata.context": context, "AccessRights": ", ".join(held) or "None"})

    def _user(self, user_id: str) -> User:
        user = self._users.of_id(user_id)
        if user is None:
            raise errors.Refusal(404, "0x80040217", f"systemuser With Id = {user_id} Does Not Exist")
        return user


def _service_document(base: str) -> Response:
    """What stands at the root: the sets that answer."""
    sets = ("EntityDefinitions", "contacts", "sdkmessagefilters")
    found = [{"name": name, "kind": "EntitySet", "url": name} for name in sets]
    return json_response({"@odata.context": f"{base}$metadata", "value": found})


def _not_found(named: re.Match[str]) -> errors.Refusal:
    return errors.Refusal(404, "0x80060888", f"Could not find '{named[2] or named[3]}' in contact.")


def _options(request: Request) -> Options:
    return parse_options(request.query, METADATA_OPTIONS)


def _message_filter(message: str) -> Document:
    return {
        "sdkmessagefilterid": metadata_id(f"filter.{message}"),
        "sdkmessageid": {"name": message},
        "primaryobjecttypecode": "contact",
    }
