"""What every test of this tree is given."""

import pytest

# A test that talks to real processes may hang with them; nothing here needs as long as this.
_LONGEST_SECONDS = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LONGEST_SECONDS))
