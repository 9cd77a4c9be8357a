"""Pseudonyms: what stands for a person's identifier in logs and error texts. Pure."""

import hashlib
import hmac

HASH_CHARACTERS = 16
"""Length of a pseudonym, in hex digits of 4 bits. Too small: two people look like one. Too large: lines that
are hard to read, and nothing gained."""


def identifier_hash(key: bytes, identifier: str) -> str:
    """The pseudonym of an identifier: an operator can follow one person through the logs without the name.

    Keyed, because an unkeyed hash of an e-mail address is undone by hashing every known address. 64 bits are
    enough to tell people apart and too few to be worth attacking. Every replica must use the same `key`.

    >>> identifier_hash(b"the key of this ledger", "ada@example.com")
    'a9b42a624c7c09e1'
    """
    digest = hmac.new(key, identifier.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return digest.hexdigest()[:HASH_CHARACTERS]
