"""The longest request body, by path and authentication."""

from compute_horde.django.guarded_http import BodyRule, Headers
from facilitator.accounts import auth
from facilitator.config import config

# Without a valid token: enough for a login.
ANONYMOUS_BYTES = 2**16
ADMIN_BYTES = 2**18
API, ADMIN = b"/api/v1/", b"/admin/"
ADVICE = "; put large inputs behind a URL"


def body_rule(method: bytes, target: bytes, headers: Headers) -> BodyRule:
    """The limit for a request by its path and headers.

    Bodies of API requests without a valid token are cut rather than refused, so that the answer is
    401 and not 413.
    """
    if target.startswith(API):
        if auth.has_valid_token(headers):
            return BodyRule(config.max_body_bytes, ADVICE)
        return BodyRule(ANONYMOUS_BYTES, is_cut=True)
    return BodyRule(ADMIN_BYTES if target.startswith(ADMIN) else ANONYMOUS_BYTES)
