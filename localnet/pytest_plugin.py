"""Gives a service's tests a PostgreSQL and a Valkey before their settings are read."""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

_stack = ExitStack()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Starts them only for tests that have Django settings and no database yet."""
    settings = getattr(early_config.known_args_namespace, "ds", None)
    settings = settings or os.environ.get("DJANGO_SETTINGS_MODULE")
    if settings and "FACILITATOR_DATABASE_URL" not in os.environ:
        from localnet import testing

        home = _stack.enter_context(testing.running(testing.SERVERS))
        os.environ.update(testing.settings_env(home))
    return (yield)


def pytest_unconfigure() -> None:
    _stack.close()
