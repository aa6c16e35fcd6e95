"""Starts PostgreSQL and Valkey for a service's tests before their settings are read."""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

_stack = ExitStack()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Start the servers if the tests have Django settings and the environment has no database."""
    settings = getattr(early_config.known_args_namespace, "ds", None)
    settings = settings or os.environ.get("DJANGO_SETTINGS_MODULE")
    if settings and "FACILITATOR_DATABASE_URL" not in os.environ:
        from localnet import testing

        network_dir = _stack.enter_context(testing.running(testing.SERVERS))
        os.environ.update(testing.settings_env(network_dir))
    return (yield)


def pytest_unconfigure() -> None:
    _stack.close()
