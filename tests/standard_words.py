"""Words that names may use without an entry in the glossary: plain English, and terms of the trade."""

STANDARD_WORDS = frozenset(
    """
    access address advertised alerted allowlist alternate ambiguous answered any api app apply
    attempted auth authorization availability base basis batch behaviour blocking body bulk by cache
    call cause certificate change classify cleaner cli client clock codec collation command compare
    condition config configuration confirmed connection consent console control convert converted
    cost count credential csdl cut data database dataverse date definition deleted deletion
    delivered delivery demo detection detector dialect disconnected dispatch document duplicate
    encode encoded endpoint engine entity entra envelope environment error event executor expansion
    expected explain explanation extension factory failure fault federated feedback filter flag
    flatten found function guid header health help http identity index ingested instant interpolated
    interpretation interpreted ip issue issuer job json jwk jwt key kind label large limiter line
    list listener lock log logging login look lookup main maintenance malformed managed many mapped
    match member message metadata method metric migrate mistake model multipart name newest no
    normalization not nothing o observability observation odata of on one openapi option output
    parked parse part policy post postgresql postpone postponed prefer priority privacy problem
    process purge purpose query queue read reader reason receipt receiving reconcile refused
    registration render replayed report request resolve resolved response result retention retried
    retry route router routing row run runtime sandbox scene schema scope secret section send serve
    server service serving set setting settle single sliding source sql sqlite stage stat state
    static status steady stored story success summary system table tenant text throttle time timeout
    timestamp tl to token too tracking transaction type unavailable unknown unreadable up update url
    usage value verifier warning web webhook window wiring worker written yaml yes
    """.split()  # noqa: SIM905 - a block of words is easier to read than 300 lines
)
