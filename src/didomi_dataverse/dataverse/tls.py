"""Finds a failure of TLS behind the errors that libraries make of it."""

import ssl


def find_tls_error(failure: BaseException) -> ssl.SSLError | None:
    """The innermost TLS error among the failure and its causes; None when TLS was not the problem.

    >>> find_tls_error(OSError("no route")) is None
    True
    """
    found: ssl.SSLError | None = None
    link: BaseException | None = failure
    while link is not None:
        if isinstance(link, ssl.SSLError):
            found = link
        link = link.__cause__ or link.__context__
    return found
