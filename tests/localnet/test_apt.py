"""The errors when a package cannot be installed."""

import pytest

from localnet import apt


def test_the_error_contains_the_failed_command():
    with pytest.raises(apt.AptError, match="`sh -c echo no such package >&2; exit 100` failed: no"):
        apt._run(["sh", "-c", "echo no such package >&2; exit 100"])


def test_the_error_on_another_system():
    with pytest.raises(apt.AptError, match="neither Debian nor Ubuntu"):
        apt._run(["no-such-package-manager", "install"])


LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"


def test_another_one_that_works_is_waited_for(tmp_path):
    tried = tmp_path / "tried"
    script = f"[ -e {tried} ] || {{ touch {tried}; echo '{LOCKED}' >&2; exit 100; }}"
    apt._run(["sh", "-c", script])
    assert tried.exists()


def test_another_one_that_never_ends_is_named(monkeypatch):
    monkeypatch.setattr(apt, "LOCK_SECONDS", 0.0)
    with pytest.raises(apt.AptError, match=r"held its locks for 0 s: .* held by process 7"):
        apt._run(["sh", "-c", f"echo '{LOCKED}' >&2; exit 100"])
