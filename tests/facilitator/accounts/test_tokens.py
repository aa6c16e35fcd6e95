"""Tokens follow the JWT standard, and forged ones are refused."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facilitator.accounts import tokens

KEY = b"k" * 32
CLAIMS = {"sub": "5F…", "iat": 1000, "exp": 2000}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(head: object, claims: object, key: bytes = KEY) -> str:
    """A correctly signed token with this content."""
    signed = f"{part(head)}.{part(claims)}"
    mac = (
        base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), hashlib.sha256))
        .rstrip(b"=")
        .decode()
    )
    return f"{signed}.{mac}"


def test_others_read_our_tokens_and_we_read_theirs():
    options = {"verify_exp": False, "verify_iat": False}
    ours = tokens.encode(CLAIMS, KEY)
    assert jwt.decode(ours, KEY, algorithms=["HS256"], options=options) == CLAIMS
    theirs = jwt.encode(CLAIMS, KEY, algorithm="HS256")
    assert tokens.decode(theirs, KEY, now=1999) == CLAIMS


def test_a_token_ends():
    with pytest.raises(tokens.TokenExpiredError):
        tokens.decode(tokens.encode(CLAIMS, KEY), KEY, now=2000)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        tokens.encode(CLAIMS, b"other" * 8),
        jwt.encode(CLAIMS, None, algorithm="none"),
        jwt.encode(CLAIMS, KEY * 2, algorithm="HS512"),
        forged({"alg": "none"}, CLAIMS),
        forged({"alg": "HS512"}, CLAIMS),
        forged([], CLAIMS),
        forged({"alg": "HS256"}, {"sub": "x"}),
        forged({"alg": "HS256"}, {"exp": "soon"}),
        forged({"alg": "HS256"}, {"exp": None}),
        forged({"alg": "HS256"}, "text"),
        tokens.encode(CLAIMS, KEY) + ".x",
        tokens.encode(CLAIMS, KEY)[:-1],
        tokens.encode(CLAIMS | {"x": "y" * 3000}, KEY),
    ],
)
def test_what_we_did_not_sign_is_refused(token):
    with pytest.raises(tokens.TokenError) as refused:
        tokens.decode(token, KEY, now=0)
    assert refused.type is tokens.TokenError


@given(st.text())
def test_no_text_makes_reading_fail_otherwise(text):
    with pytest.raises(tokens.TokenError):
        tokens.decode(text, KEY, now=0)
