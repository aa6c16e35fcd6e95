"""Batches of tests depend on nothing outside."""

import pytest

from validator.synthetic.control import targets


@pytest.fixture(autouse=True)
def _probes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No control probes, except in the tests of these."""
    if "control" not in request.path.parent.name:
        monkeypatch.setattr(targets, "of_settings", lambda config: [])
        monkeypatch.setattr(targets, "of_jobs", lambda jobs: [])
