"""Starts PostgreSQL and Valkey for a service's tests before their settings are read.

It also has the interpreters that tests start load bytecode instead of compiling the source.
"""

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

# Not in version control, and pytest's own.
BYTECODE = Path(__file__).resolve().parent.parent / ".pytest_cache" / "bytecode"

_stack = ExitStack()


def keep_bytecode() -> None:
    """Keep bytecode in `BYTECODE` where the environment wants none beside the source.

    Tests start hundreds of interpreters, each of which would compile whatever it imports.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(BYTECODE)
        sys.dont_write_bytecode = False


# At once: pytest imports other plugins and the tests after this one.
keep_bytecode()


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
