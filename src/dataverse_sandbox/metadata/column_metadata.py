"""The documents under `EntityDefinitions` for the table, its columns and its keys (dataverse.md 7)."""

from collections.abc import Mapping
from types import MappingProxyType

from dataverse_sandbox.guid import stable_guid
from dataverse_sandbox.table.column import Column, ColumnType, table_name
from dataverse_sandbox.table.schema import AlternateKey

Document = dict[str, object]
CRM = "Microsoft.Dynamics.CRM."
_LANGUAGE = 1033
# (AttributeType, AttributeTypeName, class of metadata).
_ATTRIBUTE_TYPES: Mapping[ColumnType, tuple[str, str, str]] = MappingProxyType(
    {
        ColumnType.BOOLEAN: ("Boolean", "BooleanType", "BooleanAttributeMetadata"),
        ColumnType.STRING: ("String", "StringType", "StringAttributeMetadata"),
        ColumnType.MEMO: ("Memo", "MemoType", "MemoAttributeMetadata"),
        ColumnType.PICKLIST: ("Picklist", "PicklistType", "PicklistAttributeMetadata"),
        # A multi-select column has the type Virtual; only the type name distinguishes it.
        ColumnType.MULTISELECT: (
            "Virtual",
            "MultiSelectPicklistType",
            "MultiSelectPicklistAttributeMetadata",
        ),
        ColumnType.INTEGER: ("Integer", "IntegerType", "IntegerAttributeMetadata"),
        ColumnType.DECIMAL: ("Decimal", "DecimalType", "DecimalAttributeMetadata"),
        ColumnType.MONEY: ("Money", "MoneyType", "MoneyAttributeMetadata"),
        ColumnType.DATE: ("DateTime", "DateTimeType", "DateTimeAttributeMetadata"),
        ColumnType.DATETIME: ("DateTime", "DateTimeType", "DateTimeAttributeMetadata"),
        ColumnType.LOOKUP: ("Lookup", "LookupType", "LookupAttributeMetadata"),
        ColumnType.GUID: ("Uniqueidentifier", "UniqueidentifierType", "UniqueIdentifierAttributeMetadata"),
        ColumnType.VERSION: ("BigInt", "BigIntType", "BigIntAttributeMetadata"),
    }
)
_STATES = {"statecode": "State", "statuscode": "Status"}
CASTS = frozenset(kind for _, _, kind in _ATTRIBUTE_TYPES.values()) | {
    f"{state}AttributeMetadata" for state in _STATES.values()
}
BASE_PROPERTIES = (
    "LogicalName",
    "SchemaName",
    "EntityLogicalName",
    "AttributeType",
    "AttributeTypeName",
    "DisplayName",
    "IsValidForCreate",
    "IsValidForUpdate",
    "IsValidForRead",
    "RequiredLevel",
    "IsSecured",
    "AttributeOf",
    "IsLogical",
    "IsCustomAttribute",
    "IsPrimaryId",
    "IsPrimaryName",
    "MetadataId",
)


def label(text: str) -> Document:
    """A localized label in one language."""
    localized = {"Label": text, "LanguageCode": _LANGUAGE, "IsManaged": True, "MetadataId": stable_guid(text)}
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": localized}


def column_document(column: Column, *, is_custom: bool) -> Document:
    """A column with every property that needs no `$expand`."""
    state = _STATES.get(column.name)
    if state is None:
        kind, kind_name, metadata_class = _ATTRIBUTE_TYPES[column.type]
    else:
        kind, kind_name, metadata_class = state, f"{state}Type", f"{state}AttributeMetadata"
    return {
        "@odata.type": f"#{CRM}{metadata_class}",
        "LogicalName": column.name,
        "SchemaName": column.name,
        "EntityLogicalName": "contact",
        "AttributeType": kind,
        "AttributeTypeName": {"Value": kind_name},
        "DisplayName": label(column.name),
        "IsValidForCreate": column.creatable,
        "IsValidForUpdate": column.updatable,
        "IsValidForRead": True,
        "RequiredLevel": {
            "Value": "SystemRequired" if column.required or column.name == "contactid" else "None",
            "CanBeChanged": not column.required,
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "IsSecured": False,
        "AttributeOf": None,
        "IsLogical": False,
        "IsCustomAttribute": is_custom,
        "IsPrimaryId": column.name == "contactid",
        "IsPrimaryName": column.name == "fullname",
        "MetadataId": stable_guid(f"contact.{column.name}"),
        **_type_details(column),
    }


def _type_details(column: Column) -> Document:
    match column.type:
        case ColumnType.STRING:
            is_address = column.name.startswith("emailaddress")
            return {"MaxLength": column.max_length, "Format": "Email" if is_address else "Text"}
        case ColumnType.MEMO:
            return {"MaxLength": column.max_length, "Format": "TextArea"}
        case ColumnType.INTEGER:
            return {"MinValue": column.minimum, "MaxValue": column.maximum, "Format": "None"}
        case ColumnType.DECIMAL | ColumnType.MONEY:
            return {"MinValue": column.minimum, "MaxValue": column.maximum, "Precision": column.precision}
        case ColumnType.DATE:
            return {"Format": "DateOnly", "DateTimeBehavior": {"Value": "DateOnly"}}
        case ColumnType.DATETIME:
            return {"Format": "DateAndTime", "DateTimeBehavior": {"Value": "UserLocal"}}
        case ColumnType.LOOKUP:
            return {"Targets": sorted(table_name(target) for target in column.targets.values())}
        case ColumnType.BOOLEAN:
            return {"DefaultValue": column.default is True}
        case ColumnType.PICKLIST | ColumnType.MULTISELECT:
            return {"DefaultFormValue": -1 if column.default is None else column.default}
        case _:
            return {}


def option_set(column: Column) -> Document | None:
    """The option set of a choice, a multi-select or a Yes/No column, for `$expand=OptionSet`; else None."""
    if column.type is ColumnType.BOOLEAN:
        return {
            "MetadataId": stable_guid(f"contact.{column.name}.options"),
            "Name": f"contact_{column.name}",
            "IsGlobal": False,
            "OptionSetType": "Boolean",
            "TrueOption": _option(1, "Yes"),
            "FalseOption": _option(0, "No"),
        }
    if column.type in {ColumnType.PICKLIST, ColumnType.MULTISELECT}:
        return {
            "MetadataId": stable_guid(f"contact.{column.name}.options"),
            "Name": f"contact_{column.name}",
            "IsGlobal": False,
            "OptionSetType": _STATES.get(column.name, "Picklist"),
            "Options": [_option(value, text) for value, text in column.options.items()],
        }
    return None


def _option(value: int, text: str) -> Document:
    return {"Value": value, "Label": label(text), "Color": None, "MetadataId": None}


def key_document(key: AlternateKey) -> Document:
    """An alternate key and the status of its index."""
    return {
        "LogicalName": key.name,
        "SchemaName": key.name,
        "EntityLogicalName": "contact",
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": key.status.value,
        "DisplayName": label(key.name),
        "IsManaged": False,
        "MetadataId": stable_guid(f"contact.key.{key.name}"),
    }


def table_document() -> Document:
    """The Contact table itself (dataverse.md 6.3, table facts)."""
    return {
        "LogicalName": "contact",
        "SchemaName": "Contact",
        "EntitySetName": "contacts",
        "LogicalCollectionName": "contacts",
        "PrimaryIdAttribute": "contactid",
        "PrimaryNameAttribute": "fullname",
        "ObjectTypeCode": 2,
        "OwnershipType": "UserOwned",
        "TableType": "Standard",
        "IsCustomEntity": False,
        "IsPrivate": False,
        "ChangeTrackingEnabled": True,
        "IsOptimisticConcurrencyEnabled": True,
        "DisplayName": label("Contact"),
        "DisplayCollectionName": label("Contacts"),
        "MetadataId": stable_guid("contact"),
    }
