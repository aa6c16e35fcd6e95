"""Upload headers of a job: those a signature covers, none about the connection."""

import pytest

from executor.transfer.upload_headers import BadHeaderError, checked_headers


def checked(headers, length=5):
    return checked_headers(headers, authority="up.example:81", length=length)


def test_signed_headers_are_sent_as_they_are():
    headers = {"x-amz-acl": "private", "Content-Type": "text/plain", "X-Odd_1": "é\tb"}
    assert checked(headers) == headers
    assert checked(None) == {}


def test_what_we_say_ourselves_may_be_said_when_it_is_true():
    assert checked({"Host": "UP.example:81", "content-length": " 5"}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "metadata.internal"),
        ("Content-Length", "6"),
        ("Content-Length", "5, 6"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("Connection", "x-secret"),
        ("Proxy-Authenticate", "Basic"),
        ("Expect", "100-continue"),
        ("Upgrade", "websocket"),
        ("Proxy-Authorization", "x"),
        ("a", "b\r\nHost: c"),
        ("a", "b\nc"),
        ("a", "b\0c"),
        ("a\r\nHost", "c"),
        ("a: b", "c"),
        ("", "c"),
        ("a" * 201, "c"),
        ("a", "c" * 8193),
    ],
)
def test_what_would_change_the_request_is_refused(name, value):
    with pytest.raises(BadHeaderError):
        checked({name: value})


def test_the_length_of_a_form_cannot_be_said():
    with pytest.raises(BadHeaderError):
        checked({"Content-Length": "5"}, length=None)


def test_too_many_are_refused():
    with pytest.raises(BadHeaderError, match="over 100"):
        checked({f"x-{n}": "" for n in range(101)})
