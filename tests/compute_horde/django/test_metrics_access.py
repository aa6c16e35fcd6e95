"""Metrics are only for clients with the token."""

import pytest
from django.test import RequestFactory
from pydantic import SecretStr

from compute_horde.django.metrics_access import refuse_metrics

SETTING = "SERVICE_METRICS_TOKEN"


@pytest.mark.parametrize(
    ("token", "given", "status"),
    [
        (None, "Bearer x", 404),
        ("secret", "", 401),
        ("secret", "Bearer other", 401),
        ("secret", "Bearer sécret", 401),
        ("secret", "secret", 401),
    ],
)
def test_without_the_token_one_is_told_which_setting_it_is(token, given, status):
    request = RequestFactory().get("/metrics", headers={"Authorization": given})
    answer = refuse_metrics(request, token and SecretStr(token), SETTING)
    assert (answer.status_code, SETTING in answer.content.decode()) == (status, True)
    assert "secret" not in answer.content.decode()


def test_with_the_token_nothing_is_in_the_way():
    request = RequestFactory().get("/metrics", headers={"Authorization": "Bearer secret"})
    assert refuse_metrics(request, SecretStr("secret"), SETTING) is None
