"""What the simulated service answers when it will not do a thing: one constructor per rule."""

# Symbolic names of the codes (dataverse.md 5.3), as the annotation ApiExceptionMessageName gives them.
NAMES = {
    "0x80040200": "RequiredFieldMissing",
    "0x80040203": "InvalidArgument",
    "0x80040216": "UnExpected",
    "0x80040217": "ObjectDoesNotExist",
    "0x80040220": "PrivilegeDenied",
    "0x80040237": "DuplicateRecord",
    "0x80040239": "InvalidDateTime",
    "0x80040315": "NotSupported",
    "0x80040333": "DuplicateRecordsFound",
    "0x8004431a": "PicklistValueOutOfRange",
    "0x8004432f": "IntegerValueOutOfRange",
    "0x80044330": "DecimalValueOutOfRange",
    "0x80044331": "StringLengthTooLong",
    "0x80060882": "ConcurrencyVersionMismatch",
    "0x8006088a": "CrmHttpError",
    "0x8006088f": "InvalidEntityKeyOperation",
    "0x80060891": "RecordNotFoundByEntityKey",
    "0x80060892": "DuplicateRecordEntityKey",
    "0x80072321": "ThrottlingTimeExceededError",
    "0x80072322": "ThrottlingBurstRequestLimitExceededError",
    "0x80072560": "UserNotMemberOfOrg",
    "0x80072326": "ThrottlingConcurrencyLimitExceededError",
}


class Refusal(Exception):  # noqa: N818 - an answer of the simulated service, not a fault of this program
    """An error answer: HTTP `status`, Dataverse `code` and `message`, further `headers`.

    `documented_code` is what the documentation shows where live answers were seen to hold `code`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        documented_code: str | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.documented_code = code if documented_code is None else documented_code


def unreadable(detail: str) -> Refusal:
    """The body is not what OData expects (dataverse.md 5.3, 0x80048d19)."""
    return Refusal(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'contacts'. {detail}",
    )


def stream_not_readable() -> Refusal:
    """A multipart body that is not CRLF throughout (dataverse.md 3.1)."""
    return Refusal(400, "0x80048d19", "Stream was not readable.")


def undeclared_property(name: str) -> Refusal:
    """A write names a column that the table does not have."""
    return unreadable(f"An undeclared property '{name}' was found in the payload.")


def no_such_property(name: str) -> Refusal:
    """A read names a column that the table does not have (dataverse.md 7)."""
    return Refusal(
        400, "0x0", f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.contact'."
    )


def wrong_literal(literal: object, expected: str) -> Refusal:
    """A JSON value or filter literal of the wrong type (dataverse.md 6.1)."""
    shown = str(literal)[:100]
    return Refusal(400, "0x0", f"Cannot convert the literal '{shown}' to the expected type '{expected}'.")


def query_syntax(detail: str) -> Refusal:
    """A key or an option of the URL that cannot be read (dataverse.md 1.4)."""
    return Refusal(400, "0x8006088a", f"Bad Request - Error in query syntax. {detail}".rstrip())


def unknown_segment(segment: str) -> Refusal:
    """A path that leads nowhere."""
    return Refusal(404, "0x8006088a", f"Resource not found for the segment '{segment}'.")


def no_such_key(status: int) -> Refusal:
    """The columns in the URL are not an active alternate key (dataverse.md 1.5)."""
    return Refusal(
        status,
        "0x80060888",
        "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.contact'. Ensure the "
        "names and number of key properties match the declared or alternate key properties for the resource.",
    )


def missing_by_id(contactid: str) -> Refusal:
    """No row of that id."""
    return Refusal(404, "0x80040217", f"contact With Id = {contactid} Does Not Exist", documented_code="")


def missing_by_key() -> Refusal:
    """No row of that alternate key."""
    return Refusal(
        404, "0x80060891", "A record with the specified key values does not exist in contact entity"
    )


def already_there() -> Refusal:
    """The row exists although the caller said it must not (dataverse.md 2.3)."""
    return Refusal(412, "0x80040237", "A record with matching key values already exists.", documented_code="")


def id_taken() -> Refusal:
    """Another row has this id (dataverse.md 2.3)."""
    return Refusal(412, "0x80040237", "A record with matching key values already exists.")


def duplicate_found(status: int) -> Refusal:
    """A duplicate detection rule, switched on by the caller, found another row (dataverse.md 2.4)."""
    return Refusal(
        status,
        "0x80040333",
        "A record was not created or updated because a duplicate of the current record already exists.",
    )


def key_violated(key: str) -> Refusal:
    """Another row holds these key values."""
    return Refusal(
        412,
        "0x80060892",
        f"Entity Key {key} violated. A record with the same value for {key} already exists. A duplicate "
        "record cannot be created. Select one or more unique values and try again.",
    )


def missing_privilege(user_id: str, privilege: str, held: int) -> Refusal:
    """The caller's security roles lack a privilege (dataverse.md 5.3)."""
    return Refusal(
        403,
        "0x80040220",
        f"Principal user (Id={user_id}, type=8, roleCount=1, privilegeCount={held}, accessMode=4) is missing "
        f"{privilege} privilege for entity 'contact'.",
    )


def may_not_act_for_others() -> Refusal:
    """Impersonation without the right to it (dataverse.md 2.5, 5.3)."""
    return Refusal(403, "0x8004a110", "The caller may not act on behalf of another user.")


def not_a_member() -> Refusal:
    """A good token of an application that has no application user in this environment (dataverse.md 5.3)."""
    return Refusal(403, "0x80072560", "The user is not a member of the organization.")


def version_mismatch() -> Refusal:
    """The row changed since the caller read it."""
    return Refusal(
        412,
        "0x80060882",
        "The version of the existing record doesn't match the RowVersion property provided.",
    )


def not_simulated(what: str) -> Refusal:
    """The service knows it, the sandbox does not: 501 (dataverse.md 5.3) rather than a made-up answer."""
    return Refusal(501, "0x80040315", f"{what} is not simulated by the sandbox.")


def wrong_method(method: str) -> Refusal:
    """The path exists but not for this verb."""
    return Refusal(405, "0x8004023b", f"The requested resource does not support http method '{method}'.")
