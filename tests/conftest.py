"""What every test of this tree is given."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A test that talks to real processes may hang with them; nothing here needs as long as this.
_LONGEST_SECONDS = 180

# No time limits for examples: machines that run these tests may be busy. Every run tries others, so
# that fewer of them than usual are enough.
settings.register_profile(
    "busy", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

# A shell that starts us in the background has us ignore Ctrl-C, `nohup` has us ignore SIGHUP, and
# what we start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# How long sessions of processes and threads that have ended may take to be gone.
_SESSIONS_END_SECONDS = 30.0
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The tests' database, which can only be dropped when nobody else is connected to it."""
    from django.db import connection

    from tests import empty_tables

    with django_db_blocker.unblock():
        empty_tables.install()
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        give_up = time.monotonic() + _SESSIONS_END_SECONDS
        while time.monotonic() < give_up:
            cursor.execute(f"SELECT count(*) {_OTHERS}")
            if cursor.fetchone() == (0,):
                break
            time.sleep(0.05)
        cursor.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LONGEST_SECONDS))
