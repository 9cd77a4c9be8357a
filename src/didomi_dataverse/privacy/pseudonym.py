"""What may appear in logs, pages and error texts in place of a person's identifier."""

import hashlib
import hmac

HASH_CHARACTERS = 16


def identifier_hash(key: bytes, identifier: str) -> str:
    """A keyed hash that lets an operator follow one person through the logs without naming them.

    Keyed, because an unkeyed hash of an e-mail address is undone by hashing every known address. 64 bits are
    enough to tell people apart and too few to be worth attacking. The same key must be used by every replica.
    """
    digest = hmac.new(key, identifier.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return digest.hexdigest()[:HASH_CHARACTERS]
