"""The Contact table as it ships (dataverse.md 6.2 and 6.3), and what the sandbox adds at start.

Alternate keys, custom columns and rows are the sandbox's own: `contact` ships without any alternate key.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dataverse_sandbox.table.column import Column, ColumnType, Value
from dataverse_sandbox.table.schema import AlternateKey, Schema

_BOOLEANS_FALSE = [
    "donotemail",
    "donotbulkemail",
    "donotphone",
    "donotfax",
    "donotpostalmail",
    "donotbulkpostalmail",
    "donotsendmm",
    "msdyn_disablewebtracking",
    "msdyn_isminor",
    "msdyn_isminorwithparentalconsent",
    "msgdpr_donottrack",
    "marketingonly",
    "creditonhold",
    "isbackofficecustomer",
    "participatesinworkflow",
]
_TEXTS = {
    "emailaddress1": 100,
    "emailaddress2": 100,
    "emailaddress3": 100,
    "firstname": 50,
    "middlename": 50,
    "lastname": 50,
    "suffix": 10,
    "salutation": 100,
    "nickname": 100,
    "jobtitle": 100,
    "department": 100,
    "company": 50,
    "fax": 50,
    "pager": 50,
    "callback": 50,
    "home2": 50,
    "business2": 50,
    "mobilephone": 50,
    "telephone1": 50,
    "telephone2": 50,
    "telephone3": 50,
    "externaluseridentifier": 50,
    "governmentid": 50,
    "employeeid": 50,
    "ftpsiteurl": 200,
    "websiteurl": 200,
    "assistantname": 100,
    "assistantphone": 50,
    "managername": 100,
    "managerphone": 50,
    "spousesname": 100,
    "childrensnames": 255,
    "yomifirstname": 150,
    "yomilastname": 150,
    "adx_identity_username": 100,
    "adx_identity_securitystamp": 100,
}
_ADDRESS = {
    "name": 200,
    "line1": 250,
    "line2": 250,
    "line3": 250,
    "city": 80,
    "postalcode": 20,
    "stateorprovince": 50,
    "county": 50,
    "country": 80,
    "telephone1": 50,
    "fax": 50,
    "postofficebox": 20,
    "primarycontactname": 100,
}
_GDPR_CONSENT = ("Consent", "Transactional", "Subscriptions", "Marketing", "Profiling")
_CHOICES: Mapping[str, tuple[Mapping[int, str], Value]] = MappingProxyType(
    {
        "preferredcontactmethodcode": ({1: "Any", 2: "Email", 3: "Phone", 4: "Fax", 5: "Mail"}, 1),
        "msgdpr_gdprconsent": ({587030001 + step: label for step, label in enumerate(_GDPR_CONSENT)}, None),
        "gendercode": ({1: "Male", 2: "Female"}, None),
        "familystatuscode": ({1: "Single", 2: "Married", 3: "Divorced", 4: "Widowed"}, None),
        "accountrolecode": ({1: "Decision Maker", 2: "Employee", 3: "Influencer"}, None),
        "customertypecode": ({1: "Default Value"}, 1),
        "customersizecode": ({1: "Default Value"}, 1),
        "educationcode": ({1: "Default Value"}, 1),
        "haschildrencode": ({1: "Default Value"}, 1),
        "leadsourcecode": ({1: "Default Value"}, 1),
        "shippingmethodcode": ({1: "Default Value"}, 1),
        "territorycode": ({1: "Default Value"}, 1),
        "preferredappointmenttimecode": ({1: "Morning", 2: "Afternoon", 3: "Evening"}, None),
        "preferredappointmentdaycode": (
            dict(enumerate(["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"])),
            None,
        ),
    }
)
_READ_ONLY: Mapping[str, ColumnType] = MappingProxyType(
    {
        "fullname": ColumnType.STRING,
        "yomifullname": ColumnType.STRING,
        "address1_composite": ColumnType.MEMO,
        "address2_composite": ColumnType.MEMO,
        "address3_composite": ColumnType.MEMO,
        "createdon": ColumnType.DATETIME,
        "modifiedon": ColumnType.DATETIME,
        "createdby": ColumnType.LOOKUP,
        "modifiedby": ColumnType.LOOKUP,
        "createdonbehalfby": ColumnType.LOOKUP,
        "modifiedonbehalfby": ColumnType.LOOKUP,
        "owningbusinessunit": ColumnType.LOOKUP,
        "owninguser": ColumnType.LOOKUP,
        "owningteam": ColumnType.LOOKUP,
        "masterid": ColumnType.LOOKUP,
        "accountid": ColumnType.LOOKUP,
        "parentcontactid": ColumnType.LOOKUP,
        "versionnumber": ColumnType.VERSION,
        "merged": ColumnType.BOOLEAN,
        "isprivate": ColumnType.BOOLEAN,
        "annualincome_base": ColumnType.MONEY,
        "creditlimit_base": ColumnType.MONEY,
    }
)
_LOOKUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "parentcustomerid": {"parentcustomerid_account": "accounts", "parentcustomerid_contact": "contacts"},
        "ownerid": {"ownerid": "systemusers"},
        "preferredsystemuserid": {"preferredsystemuserid": "systemusers"},
        "transactioncurrencyid": {"transactioncurrencyid": "transactioncurrencies"},
    }
)


def standard_columns() -> Iterator[Column]:
    """The columns of every environment."""
    yield Column(name="contactid", type=ColumnType.GUID, updatable=False)
    yield from _flags()
    yield from _texts()
    yield from _choices()
    yield from _dates_and_numbers()
    for name, targets in _LOOKUPS.items():
        yield Column(name=name, type=ColumnType.LOOKUP, targets=targets)
    for name, kind in _READ_ONLY.items():
        default = False if kind is ColumnType.BOOLEAN else None
        yield Column(name=name, type=kind, creatable=False, updatable=False, default=default)


def _flags() -> Iterator[Column]:
    for name in _BOOLEANS_FALSE:
        yield Column(name=name, type=ColumnType.BOOLEAN, default=False)
    # dataverse.md 6.2: the only consent column that is not inverted, and true by default.
    yield Column(name="followemail", type=ColumnType.BOOLEAN, default=True)


def _texts() -> Iterator[Column]:
    for name, length in _TEXTS.items():
        yield Column(name=name, type=ColumnType.STRING, max_length=length)
    for number in (1, 2, 3):
        for name, length in _ADDRESS.items():
            yield Column(name=f"address{number}_{name}", type=ColumnType.STRING, max_length=length)
    yield Column(name="description", type=ColumnType.MEMO, max_length=2000)


def _choices() -> Iterator[Column]:
    for name, (options, default) in _CHOICES.items():
        yield Column(name=name, type=ColumnType.PICKLIST, options=options, default=default)
    states = {"statecode": ({0: "Active", 1: "Inactive"}, 0), "statuscode": ({1: "Active", 2: "Inactive"}, 1)}
    for name, (options, default) in states.items():
        yield Column(name=name, type=ColumnType.PICKLIST, options=options, default=default, required=True)


def _dates_and_numbers() -> Iterator[Column]:
    for name in ("birthdate", "anniversary"):
        yield Column(name=name, type=ColumnType.DATE)
    for name in ("lastusedincampaign", "msdyn_portaltermsagreementdate", "lastonholdtime"):
        yield Column(name=name, type=ColumnType.DATETIME)
    yield Column(name="numberofchildren", type=ColumnType.INTEGER, minimum=0, maximum=1_000_000_000)
    for name in ("annualincome", "creditlimit"):
        yield Column(name=name, type=ColumnType.MONEY, minimum=0, maximum=100_000_000_000_000)
    yield Column(name="overriddencreatedon", type=ColumnType.DATETIME, updatable=False)
    yield Column(name="importsequencenumber", type=ColumnType.INTEGER, updatable=False)


def example_columns() -> Iterator[Column]:
    """The custom columns that the example configuration maps to."""
    for name in ("new_newsletter", "new_profilingobjection", "new_likesmusic", "new_likesfilm"):
        yield Column(name=name, type=ColumnType.BOOLEAN)
    yield Column(name="new_profilingbyemail", type=ColumnType.BOOLEAN)
    for name in ("new_didomikey", "new_language", "new_loyaltyid", "new_didomievent"):
        yield Column(name=name, type=ColumnType.STRING, max_length=100)
    yield Column(
        name="new_profiling", type=ColumnType.PICKLIST, options={100000000: "Granted", 100000001: "Refused"}
    )
    yield Column(name="new_frequency", type=ColumnType.PICKLIST, options={1: "Daily", 2: "Weekly"})
    yield Column(
        name="new_topics", type=ColumnType.MULTISELECT, options={100000000: "Sport", 100000001: "Culture"}
    )
    for name in ("new_profilingon", "new_consentchangedon"):
        yield Column(name=name, type=ColumnType.DATETIME)
    yield Column(name="new_remark", type=ColumnType.MEMO, max_length=2000)


def initial_schema() -> Schema:
    """The standard Contact columns, the example's custom ones, and the alternate key `new_didomikey`."""
    return Schema(
        [*standard_columns(), *example_columns()], [AlternateKey("new_didomikey", ("new_didomikey",))]
    )


INITIAL_ROWS = 8
"""Rows of a new environment."""


def sample_rows(count: int) -> Iterator[tuple[str, dict[str, Value]]]:
    """(contact id, values) of `count` made-up contacts: neutral ids, placeholder names, a reserved domain."""
    for number in range(1, count + 1):
        yield (
            f"00000000-0000-4000-8000-{number:012d}",
            {
                "new_didomikey": f"customer-{number:04d}",
                "emailaddress1": f"customer-{number:04d}@example.com",
                "lastname": f"Customer {number:04d}",
            },
        )
