"""What every test of this tree is given."""

import signal

import pytest

# A test that talks to real processes may hang with them; nothing here needs as long as this.
_LONGEST_SECONDS = 180

# A shell that starts us in the background has us ignore Ctrl-C, and what we start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LONGEST_SECONDS))
