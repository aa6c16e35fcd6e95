"""HTTP headers about one connection, which nobody may set or pass on for another."""

# RFC 9110 §7.6.1, and `Expect`, which asks the server at the other end of this connection.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
