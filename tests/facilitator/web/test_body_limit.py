"""Limits on request bodies, with and without a token."""

import time

import pytest

from compute_horde.django.guarded_http import BodyRule
from facilitator.accounts import auth as login
from facilitator.config import config
from facilitator.web import body_limit
from tests import servers


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        (b"/api/v1/job-docker/", BodyRule(body_limit.ANONYMOUS_BYTES, is_cut=True)),
        (b"/auth/login", BodyRule(body_limit.ANONYMOUS_BYTES)),
        (b"/health", BodyRule(body_limit.ANONYMOUS_BYTES)),
        (b"/admin/login/", BodyRule(body_limit.ADMIN_BYTES)),
        (b"http://evil/api/v1/job-docker/", BodyRule(body_limit.ANONYMOUS_BYTES)),
    ],
)
def test_of_what_strangers_send_only_the_beginning_is_kept(target: bytes, rule: BodyRule) -> None:
    assert body_limit.body_rule(b"POST", target, []) == rule


def test_a_user_may_send_a_whole_job() -> None:
    token = login.token("5Hot", now=int(time.time()))
    headers = [(b"authorization", f"Bearer {token}".encode())]
    rule = body_limit.body_rule(b"POST", b"/api/v1/job-docker/", headers)
    assert rule == BodyRule(config.max_body_bytes, body_limit.ADVICE)


@pytest.mark.django_db(transaction=True)
def test_strangers_cost_little_and_stay_briefly() -> None:
    with servers.web_server("facilitator") as server:
        servers.check_that_floods_cost_no_memory(server)
        servers.check_that_strangers_cause_no_tracebacks(server, b"/ws/v0/")
        servers.check_that_silence_is_ended(server)
        login = b"POST /api/v1/job-docker/ HTTP/1.1\r\nHost: x\r\n"
        # An expired token is reported, whatever the size of the body.
        assert server.status(login + b"Content-Length: 5000000\r\n\r\n") == 401
    with servers.web_server("facilitator", MAX_CONNECTIONS_PER_ADDRESS="2") as server:
        servers.check_that_one_address_cannot_take_all(server)


def test_a_deployment_is_safe_or_says_what_is_not() -> None:
    servers.check_that_a_deployment_is_safe_or_says_what_is_not("facilitator", "HOST")
