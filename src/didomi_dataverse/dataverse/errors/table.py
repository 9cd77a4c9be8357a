"""The rows of the error table (dataverse.md 4.1 and 5.3), each with what a person can do about it.

`classify` finds the row of an answer.
"""

from typing import Final

from didomi_dataverse.dataverse.errors.entry import Action, Entry
from didomi_dataverse.dataverse.errors.throttle import LIMIT_BY_CODE

_MAPPING: Final = "Compare the mapping's columns with those of the Contact table (Power Apps)."
_ROLE: Final = (
    "Give the application user a security role with prvReadContact and prvWriteContact (also "
    "prvCreateContact with `contact.upsert`), at a depth that reaches these rows."
)
_KEY: Final = (
    "`contact.match.alternate_key` must name the column of a key of the Contact table; the key must be "
    "defined on this column alone and be Active (Power Apps, table Contact, Keys)."
)
_ADDRESS: Final = "Check `dataverse.url` and `dataverse.api_path`."

DONE: Final = Entry(action=Action.DONE, advice="")
THROTTLED: Final = Entry(
    action=Action.WAIT,
    advice="Dataverse limits how much may be sent (service protection). Nothing is lost. If it stays so, "
    "lower `dataverse.max_parallel` or `dataverse.batch_rows`, or ask what else uses this application user.",
)
UNAUTHORISED: Final = Entry(
    action=Action.TOKEN,
    advice="Dataverse refuses a token that Microsoft Entra has just issued. Check that `dataverse.url` and "
    "`dataverse.tenant_id` belong to the same environment.",
)
NO_WEB_API: Final = Entry(
    action=Action.ALERT,
    advice="The answer did not come from the Dataverse Web API (a page, a redirect). " + _ADDRESS,
)
WRONG_PATH: Final = Entry(action=Action.ALERT, advice="There is no Web API at this address. " + _ADDRESS)
EXISTS: Final = Entry(action=Action.REUPSERT, advice="The row to be created exists already.")
FAILING: Final = Entry(
    action=Action.RETRY,
    advice="Dataverse failed on this row. If it repeats, its support needs the request id.",
    max_attempts=5,
)
# Without a bound: an outage of the whole server is not this row's fault, however long it lasts.
FAILING_CALL: Final = Entry(action=Action.RETRY, advice="Dataverse is failing. It is tried again.")
# Every write is conditional and idempotent, so sending it again does no harm (dataverse.md 5.3).
NO_ANSWER: Final = Entry(action=Action.RETRY, advice="")
REFUSED: Final = Entry(action=Action.DEAD, advice="Dataverse refuses this row. The message says why.")

BY_STATUS: Final = {
    400: Entry(action=Action.DEAD, advice="Dataverse refuses this row. " + _MAPPING, mapping_fault=True),
    403: Entry(action=Action.ALERT, advice="The application user may not do this. " + _ROLE),
    404: Entry(action=Action.RE_RESOLVE, advice="The row does not exist (deleted or merged)."),
    405: Entry(action=Action.ALERT, advice="This environment does not support the operation. " + _ADDRESS),
    408: Entry(action=Action.RETRY, advice="Dataverse waited too long for the request. Check the network."),
    413: Entry(action=Action.SPLIT, advice="The request is too large. Lower `dataverse.batch_rows`."),
    501: Entry(action=Action.ALERT, advice="This environment does not support the operation. " + _ADDRESS),
    502: Entry(action=Action.RETRY, advice="A gateway in front of Dataverse failed."),
    503: Entry(action=Action.RETRY, advice="Dataverse is not available. It is tried again until it answers."),
    504: Entry(action=Action.RETRY, advice="A gateway in front of Dataverse gave up waiting."),
}

# dataverse.md 4.1 and 5.3, in their order. Codes and names as they stand there.
TABLE: Final = (
    Entry(
        action=Action.WAIT,
        codes=(*LIMIT_BY_CODE, "0x8005f103"),
        names=(
            "ThrottlingBurstRequestLimitExceededError",
            "ThrottlingTimeExceededError",
            "ThrottlingConcurrencyLimitExceededError",
        ),
        advice=THROTTLED.advice,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x0",),
        status=400,
        advice="A column does not exist, or its type does not take this value. " + _MAPPING,
        mapping_fault=True,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80048d19",),
        advice="The request could not be read: a column does not exist or is of another type. " + _MAPPING,
        mapping_fault=True,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8006088a",),
        status=404,
        advice="The Contact table or a column was not found at this address. " + _ADDRESS + " " + _MAPPING,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8006088a",),
        names=("CrmHttpError",),
        advice="The identifier holds a character that Dataverse takes in no key. Match by a column instead: "
        "`contact.match.column`.",
    ),
    Entry(action=Action.ALERT, codes=("0x80060888",), advice="The key does not exist. " + _KEY),
    Entry(
        action=Action.ALERT,
        codes=("0x80060890",),
        names=("EntityKeyNotDefined",),
        advice="The column has no key. " + _KEY,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8006088f",),
        names=("InvalidEntityKeyOperation",),
        advice="Dataverse does not accept this identifier as a key. " + _KEY,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8006089d",),
        names=("MultipleRecordsFoundByEntityKey",),
        advice="Several rows have the same key: the index is broken. Remove duplicates, reactivate the key.",
    ),
    Entry(
        action=Action.SKIP,
        codes=("0x80060891",),
        names=("RecordNotFoundByEntityKey",),
        advice="No contact has this key yet.",
    ),
    Entry(
        action=Action.RE_RESOLVE,
        codes=("0x80040217",),
        names=("ObjectDoesNotExist",),
        advice=BY_STATUS[404].advice,
    ),
    Entry(
        action=Action.REUPSERT,
        codes=("0x80060892",),
        names=("DuplicateRecordEntityKey",),
        advice="Another row has this value in a key. If it stays so, a mapped column is part of another key.",
    ),
    Entry(action=Action.REUPSERT, codes=("0x80040237",), names=("DuplicateRecord",), advice=EXISTS.advice),
    # dataverse.md 5.3 says "re-read, then retry". We send no ETag, so there is nothing to read again.
    Entry(
        action=Action.RETRY,
        codes=("0x80060882",),
        names=("ConcurrencyVersionMismatch",),
        advice="Another client changed the row at the same moment.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8006088d",),
        names=("OptimisticConcurrencyNotEnabled",),
        advice="The Contact table has optimistic concurrency switched off: no conditional write is possible.",
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80040333",),
        names=("DuplicateRecordsFound",),
        advice="A duplicate detection rule refuses the row: another contact looks the same. Merge them.",
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80044331", "0x80073001"),
        names=("StringLengthTooLong",),
        advice="The text is longer than the column. Lengthen the column; the message names it.",
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8004432f", "0x80044330"),
        names=("IntegerValueOutOfRange", "DecimalValueOutOfRange"),
        advice="The number is outside the column's range.",
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8004431a",),
        names=("PicklistValueOutOfRange",),
        advice="The choice column has no such option: it was deleted or never added. " + _MAPPING,
        mapping_fault=True,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8004431c",),
        names=("BooleanOptionOutOfRange",),
        advice="The column is a Yes/No column and takes nothing else. " + _MAPPING,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80040239",),
        names=("InvalidDateTime",),
        advice="The column takes no such date (none before 1753-01-01). " + _MAPPING,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80040203",),
        names=("InvalidArgument",),
        advice="A value does not suit its column. " + _MAPPING,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80040200",),
        names=("RequiredFieldMissing",),
        advice="The table requires a column that is not written. Give it a value in `contact.on_create`.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8005e009",),
        names=("InvalidAttribute",),
        advice="A mapped column no longer exists. " + _MAPPING,
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x80040265",),
        names=("IsvAborted",),
        advice="A plug-in of this environment refuses the row. Its message says why; its owner can say more.",
    ),
    Entry(
        action=Action.RETRY,
        codes=("0x80040224",),
        names=("IsvUnExpected",),
        advice="A plug-in of this environment crashed on the row. Its owner needs the request id.",
        max_attempts=3,
    ),
    # By its code only: its name, "UnExpected", says nothing, and may stand beside a code that says more.
    Entry(
        action=Action.SPLIT,
        codes=("0x80040216",),
        advice="Dataverse failed on the row without saying why. Its support needs the request id.",
    ),
    Entry(
        action=Action.SPLIT,
        codes=("0x80044171", "0x80044172", "0x80044173", "0x80081111"),
        advice="A plug-in of this environment took too long. Lower `dataverse.batch_rows`, or ask its owner.",
        alone=Action.RETRY,
    ),
    Entry(action=Action.RETRY, codes=("0x80081116",), advice="The environment's plug-ins are overloaded."),
    Entry(
        action=Action.RETRY, codes=("0x80044150",), advice="Dataverse's database failed, often by a deadlock."
    ),
    Entry(
        action=Action.SPLIT,
        codes=("0x80044151",),
        advice="The database took too long. Lower `dataverse.batch_rows` or `dataverse.max_parallel`.",
        alone=Action.RETRY,
    ),
    Entry(
        action=Action.RETRY,
        codes=("0x80040255", "0x80040251"),
        advice="Dataverse undid the write. If it repeats, a plug-in here hides a database error.",
    ),
    Entry(action=Action.RETRY, codes=("0x80073000",), advice="Dataverse lost its database for a moment."),
    Entry(action=Action.REUPSERT, codes=("0x80073002",), advice="Another row has this value in an index."),
    Entry(
        action=Action.RETRY,
        codes=("0x80071154",),
        names=("ConcurrentOperationFailure",),
        advice="Another client was writing the row at the same moment.",
    ),
    Entry(
        action=Action.RETRY,
        codes=("0x8004a001", "0x80072323", "0x80072324"),
        advice="Dataverse's database is overloaded.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80072325",),
        advice="The environment's storage is full. Free or buy capacity (Power Platform admin center).",
    ),
    Entry(
        action=Action.RETRY,
        codes=("0x80048543",),
        advice="Dataverse took too long; a solution may be being imported. It is tried again later.",
    ),
    Entry(
        action=Action.DEAD,
        codes=("0x8004022e",),
        advice="The row is read-only, for example because the contact is inactive.",
    ),
    Entry(
        action=Action.TOKEN,
        codes=(
            *("0x8004a101", "0x8004a102", "0x8004a100", "0x8004a105", "0x8004a103"),
            *("0x80040204", "0x80044300", "0x80044302", "0x80040277"),
        ),
        names=("InvalidUserAuth",),
        advice=UNAUTHORISED.advice,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80040220",),
        names=("PrivilegeDenied",),
        advice="The application user lacks a privilege; the message names it (for example prvWriteContact). "
        + _ROLE,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80048306",),
        advice="The application user may not reach rows of this owner or business unit. " + _ROLE,
    ),
    Entry(
        action=Action.ALERT,
        codes=(
            "0x80040256",
            "0x8004020d",
            "0x80040231",
            "0x80048405",
            "0x80040276",
            "0x8004049e",
            "0x80040299",
        ),
        names=("CrmCheckPrivilege",),
        advice=BY_STATUS[403].advice,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8004f502", "0x8004f504", "0x8004f507"),
        advice="A mapped column is secured. Give the application user a column security profile that may "
        "read, create and update it.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8004a110",),
        advice="The application user may not act for another user. Something between us and Dataverse adds "
        "a header that asks for it; remove it.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80072560",),
        names=("UserNotMemberOfOrg",),
        advice="This environment has no application user for `dataverse.client_id`. Create one (Power "
        "Platform admin center, environment, Settings, Application users) and give it a security role.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80095ffc",),
        advice="The tenant does not let this application in. Ask its Power Platform administrator.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x80040225", "0x8004d24b", "0x80042f09"),
        advice="The application user is disabled or has no role. Enable it. " + _ROLE,
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8004a104",),
        names=("OrganizationDisabled",),
        advice="The environment is in administration mode, disabled or expired.",
    ),
    Entry(
        action=Action.ALERT,
        codes=("0x8004023b", "0x80040315"),
        names=("InvalidOperation", "NotSupported"),
        advice=BY_STATUS[405].advice,
    ),
    Entry(action=Action.SPLIT, codes=("0x8004418a",), advice=BY_STATUS[413].advice),
)
