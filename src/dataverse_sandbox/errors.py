"""Error responses of the Web API: one constructor per rule."""

ERROR_NAMES = {
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
"""Symbolic names by code (dataverse.md 5.3), as the annotation ApiExceptionMessageName gives them."""


class ODataError(Exception):
    """An error response of the simulated service, raised where a rule is broken."""

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
        """HTTP status."""
        self.code = code
        """Dataverse error code, as live answers were seen to hold it."""
        self.message = message
        """Text for the caller."""
        self.headers = headers
        """Further response headers."""
        self.documented_code = code if documented_code is None else documented_code
        """The code that the documentation shows, where it differs from `code`."""


def bad_request(message: str) -> ODataError:
    """400 without a Dataverse code: the OData layer refuses the request."""
    return ODataError(400, "0x0", message)


def invalid_argument(message: str) -> ODataError:
    """A value that the request may not hold (dataverse.md 5.3)."""
    return ODataError(400, "0x80040203", message)


def not_found(message: str) -> ODataError:
    """A thing that does not exist, other than a Contact row."""
    return ODataError(404, "0x80040217", message)


def malformed_body(detail: str) -> ODataError:
    """The body is not what OData expects (dataverse.md 5.3, 0x80048d19)."""
    return ODataError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'contacts'. {detail}",
    )


def unreadable_stream() -> ODataError:
    """A multipart body that is not CRLF throughout (dataverse.md 3.1)."""
    return ODataError(400, "0x80048d19", "Stream was not readable.")


def undeclared_property(name: str) -> ODataError:
    """A write names a column that the table does not have."""
    return malformed_body(f"An undeclared property '{name}' was found in the payload.")


def unknown_property(name: str) -> ODataError:
    """A read names a column that the table does not have (dataverse.md 7)."""
    return bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.contact'.")


def literal_mismatch(literal: object, expected: str) -> ODataError:
    """A JSON value or filter literal of the wrong type (dataverse.md 6.1)."""
    shown = str(literal)[:100]
    return ODataError(400, "0x0", f"Cannot convert the literal '{shown}' to the expected type '{expected}'.")


def query_syntax_error(detail: str) -> ODataError:
    """A key or a query option that cannot be parsed (dataverse.md 1.4)."""
    return ODataError(400, "0x8006088a", f"Bad Request - Error in query syntax. {detail}".rstrip())


def unknown_segment(segment: str) -> ODataError:
    """A path that does not exist."""
    return ODataError(404, "0x8006088a", f"Resource not found for the segment '{segment}'.")


def unknown_key(status: int) -> ODataError:
    """The columns in the URL are not an active alternate key (dataverse.md 1.5)."""
    return ODataError(
        status,
        "0x80060888",
        "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.contact'. Ensure the "
        "names and number of key properties match the declared or alternate key properties for the resource.",
    )


def row_not_found_by_id(contactid: str) -> ODataError:
    """No row has this id."""
    return ODataError(404, "0x80040217", f"contact With Id = {contactid} Does Not Exist", documented_code="")


def row_not_found_by_key() -> ODataError:
    """No row has this alternate key."""
    return ODataError(
        404, "0x80060891", "A record with the specified key values does not exist in contact entity"
    )


def row_exists() -> ODataError:
    """The row exists, but the caller allowed only a create (dataverse.md 2.3)."""
    return ODataError(
        412, "0x80040237", "A record with matching key values already exists.", documented_code=""
    )


def duplicate_id() -> ODataError:
    """Another row has this id (dataverse.md 2.3)."""
    return ODataError(412, "0x80040237", "A record with matching key values already exists.")


def duplicate_detected(status: int) -> ODataError:
    """A duplicate detection rule, requested by the caller, found another row (dataverse.md 2.4)."""
    return ODataError(
        status,
        "0x80040333",
        "A record was not created or updated because a duplicate of the current record already exists.",
    )


def key_violation(key: str) -> ODataError:
    """Another row holds these key values."""
    return ODataError(
        412,
        "0x80060892",
        f"Entity Key {key} violated. A record with the same value for {key} already exists. A duplicate "
        "record cannot be created. Select one or more unique values and try again.",
    )


def missing_privilege(user_id: str, privilege: str, held: int) -> ODataError:
    """The caller's security roles lack a privilege (dataverse.md 5.3)."""
    return ODataError(
        403,
        "0x80040220",
        f"Principal user (Id={user_id}, type=8, roleCount=1, privilegeCount={held}, accessMode=4) is missing "
        f"{privilege} privilege for entity 'contact'.",
    )


def impersonation_denied() -> ODataError:
    """Impersonation without the privilege for it (dataverse.md 2.5, 5.3)."""
    return ODataError(403, "0x8004a110", "The caller may not act on behalf of another user.")


def user_not_member() -> ODataError:
    """A valid token of an application without an application user in this environment (dataverse.md 5.3)."""
    return ODataError(403, "0x80072560", "The user is not a member of the organization.")


def version_mismatch() -> ODataError:
    """The row changed since the caller read it."""
    return ODataError(
        412,
        "0x80060882",
        "The version of the existing record doesn't match the RowVersion property provided.",
    )


def not_simulated(what: str) -> ODataError:
    """The service knows it, the sandbox does not: 501 (dataverse.md 5.3) instead of a made-up answer."""
    return ODataError(501, "0x80040315", f"{what} is not simulated by the sandbox.")


def method_not_allowed(method: str) -> ODataError:
    """The path exists, but not for this HTTP method."""
    return ODataError(405, "0x8004023b", f"The requested resource does not support http method '{method}'.")
