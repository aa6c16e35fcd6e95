"""Limits on requests to the validator's admin site."""

import pytest

from compute_horde.django import health_check
from tests import servers


@pytest.mark.django_db(transaction=True)
def test_strangers_cost_little_and_stay_briefly() -> None:
    with servers.web_server("validator", "web") as server:
        servers.check_that_floods_cost_no_memory(server)
        servers.check_that_strangers_cause_no_tracebacks(server)
        servers.check_that_silence_is_ended(server)
    with servers.web_server("validator", "web", MAX_CONNECTIONS_PER_ADDRESS="2") as server:
        servers.check_that_one_address_cannot_take_all(server)


@pytest.mark.django_db(transaction=True)
def test_the_health_check_of_a_container_is_answered_whatever_the_site_is_called() -> None:
    with servers.web_server("validator", "web", ALLOWED_HOSTS="admin.example") as server:
        assert health_check.ask(server.port) == 0


def test_a_deployment_is_safe_or_says_what_is_not() -> None:
    servers.check_that_a_deployment_is_safe_or_says_what_is_not("validator", "HOST")
