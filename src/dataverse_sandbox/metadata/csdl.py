"""`$metadata`: the table, its keys and the callable operations, as an OData 4.0 CSDL document in XML."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dataverse_sandbox.table.column import EDM, TEXTUAL, Column, ColumnType, table_name
from dataverse_sandbox.table.schema import AlternateKey, Schema

NAMESPACE = "Microsoft.Dynamics.CRM"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_VOCABULARIES = {
    "Org.OData.Core.V1": "http://docs.oasis-open.org/odata/odata/v4.0/os/vocabularies/Org.OData.Core.V1.xml",
    "OData.Community.Keys.V1": "http://vocabularies.odata.org/OData.Community.Keys.V1.xml",
}
_KEYS = "OData.Community.Keys.V1"
_ROLE_PRIVILEGE = {
    "PrivilegeId": "Edm.Guid",
    "BusinessUnitId": "Edm.Guid",
    "Depth": "mscrm.PrivilegeDepth",
    "PrivilegeName": "Edm.String",
    "RecordFilterId": "Edm.Guid",
    "RecordFilterUniqueName": "Edm.String",
}
_RESPONSES = {
    "WhoAmIResponse": {"BusinessUnitId": "Edm.Guid", "UserId": "Edm.Guid", "OrganizationId": "Edm.Guid"},
    "CreateMultipleResponse": {"Ids": "Collection(Edm.Guid)"},
    "RolePrivilege": _ROLE_PRIVILEGE,
    "RetrieveUserPrivilegesResponse": {"RolePrivileges": "Collection(mscrm.RolePrivilege)"},
    "RetrieveUserPrivilegeByPrivilegeNameResponse": {"RolePrivileges": "Collection(mscrm.RolePrivilege)"},
    "RetrievePrincipalAccessResponse": {"AccessRights": "Edm.String"},
}
_DEPTHS = ("Basic", "Local", "Deep", "Global", "RecordFilter")


def csdl_document(schema: Schema, *, has_bulk_messages: bool) -> bytes:
    """The document for this schema; it lists the Active keys only."""
    root = Element("edmx:Edmx", {"Version": "4.0", "xmlns:edmx": _EDMX})
    for namespace, url in _VOCABULARIES.items():
        reference = SubElement(root, "edmx:Reference", Uri=url)
        SubElement(reference, "edmx:Include", Namespace=namespace)
    services = SubElement(root, "edmx:DataServices")
    model = SubElement(services, "Schema", {"Namespace": NAMESPACE, "Alias": "mscrm", "xmlns": _EDM})
    SubElement(model, "EntityType", Name="crmbaseentity", Abstract="true")
    _add_contact(model, schema)
    sets = {"contacts": "contact", **_lookup_sets(schema)}
    for table in sorted(set(sets.values()) - {"contact"}):
        _add_lookup_target(model, table)
    _add_types(model)
    if has_bulk_messages:
        _add_bulk_messages(model)
    _add_functions(model)
    _add_container(model, schema, sets)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _lookup_sets(schema: Schema) -> dict[str, str]:
    sets = {target for column in schema.columns.values() for target in column.targets.values()}
    return {name: table_name(name) for name in sorted(sets | {"systemusers"}) if name != "contacts"}


def _add_contact(model: Element, schema: Schema) -> None:
    entity = SubElement(model, "EntityType", Name="contact", BaseType="mscrm.crmbaseentity")
    SubElement(SubElement(entity, "Key"), "PropertyRef", Name="contactid")
    for column in schema.columns.values():
        _add_property(entity, column)
    for column in schema.columns.values():
        for navigation, entity_set in column.targets.items():
            table = table_name(entity_set)
            found = SubElement(entity, "NavigationProperty", Name=navigation, Type=f"mscrm.{table}")
            SubElement(
                found, "ReferentialConstraint", Property=column.wire_name, ReferencedProperty=f"{table}id"
            )
    if schema.active_keys:
        _add_alternate_keys(entity, schema.active_keys, schema)


def _add_property(entity: Element, column: Column) -> None:
    facets = {"Name": column.wire_name, "Type": EDM[column.type]}
    if column.type in TEXTUAL:
        facets["MaxLength"] = str(column.max_length)
    if column.type in {ColumnType.DECIMAL, ColumnType.MONEY}:
        facets["Scale"] = str(column.precision)
    if column.name == "contactid":
        facets["Nullable"] = "false"
    found = SubElement(entity, "Property", facets)
    if not (column.creatable or column.updatable):
        SubElement(found, "Annotation", Term="Org.OData.Core.V1.Computed", Bool="true")


def _add_alternate_keys(entity: Element, keys: Iterable[AlternateKey], schema: Schema) -> None:
    annotation = SubElement(entity, "Annotation", Term=f"{_KEYS}.AlternateKeys")
    collection = SubElement(annotation, "Collection")
    for key in keys:
        record = SubElement(collection, "Record", Type=f"{_KEYS}.AlternateKey")
        references = SubElement(SubElement(record, "PropertyValue", Property="Key"), "Collection")
        for name in key.columns:
            wire_name = schema.columns[name].wire_name
            reference = SubElement(references, "Record", Type=f"{_KEYS}.PropertyRef")
            SubElement(reference, "PropertyValue", Property="Alias", String=wire_name)
            SubElement(reference, "PropertyValue", Property="Name", PropertyPath=wire_name)


def _add_lookup_target(model: Element, table: str) -> None:
    """A table that lookups point to: only its id is known here."""
    entity = SubElement(model, "EntityType", Name=table, BaseType="mscrm.crmbaseentity")
    SubElement(SubElement(entity, "Key"), "PropertyRef", Name=f"{table}id")
    SubElement(entity, "Property", Name=f"{table}id", Type="Edm.Guid", Nullable="false")


def _add_types(model: Element) -> None:
    depth = SubElement(model, "EnumType", Name="PrivilegeDepth")
    for value, name in enumerate(_DEPTHS):
        SubElement(depth, "Member", Name=name, Value=str(value))
    for name, properties in _RESPONSES.items():
        response = SubElement(model, "ComplexType", Name=name)
        for member, kind in properties.items():
            SubElement(response, "Property", Name=member, Type=kind)


def _add_bulk_messages(model: Element) -> None:
    for message in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple"):
        action = SubElement(model, "Action", Name=message, IsBound="true")
        SubElement(
            action, "Parameter", Name="entityset", Type="Collection(mscrm.crmbaseentity)", Nullable="false"
        )
        SubElement(
            action, "Parameter", Name="Targets", Type="Collection(mscrm.crmbaseentity)", Nullable="false"
        )
        if message == "CreateMultiple":
            SubElement(action, "ReturnType", Type="mscrm.CreateMultipleResponse", Nullable="false")


def _add_functions(model: Element) -> None:
    who = SubElement(model, "Function", Name="WhoAmI")
    SubElement(who, "ReturnType", Type="mscrm.WhoAmIResponse", Nullable="false")
    _add_user_function(model, "RetrieveUserPrivileges", {})
    _add_user_function(model, "RetrieveUserPrivilegeByPrivilegeName", {"PrivilegeName": "Edm.String"})
    _add_user_function(model, "RetrievePrincipalAccess", {"Target": "mscrm.crmbaseentity"})


def _add_user_function(model: Element, name: str, parameters: dict[str, str]) -> None:
    function = SubElement(model, "Function", Name=name, IsBound="true")
    SubElement(function, "Parameter", Name="entity", Type="mscrm.systemuser", Nullable="false")
    for parameter, kind in parameters.items():
        SubElement(function, "Parameter", Name=parameter, Type=kind, Nullable="false")
    SubElement(function, "ReturnType", Type=f"mscrm.{name}Response", Nullable="false")


def _add_container(model: Element, schema: Schema, sets: dict[str, str]) -> None:
    container = SubElement(model, "EntityContainer", Name="System")
    for entity_set, table in sets.items():
        found = SubElement(container, "EntitySet", Name=entity_set, EntityType=f"mscrm.{table}")
        if table != "contact":
            continue
        for column in schema.columns.values():
            for navigation, target in column.targets.items():
                SubElement(found, "NavigationPropertyBinding", Path=navigation, Target=target)
    SubElement(container, "FunctionImport", Name="WhoAmI", Function="mscrm.WhoAmI")
