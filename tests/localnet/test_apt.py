"""The errors when a package cannot be installed."""

import pytest

from localnet import apt


def test_the_error_contains_the_failed_command():
    with pytest.raises(apt.AptError, match="`sh -c echo no such package >&2; exit 100` failed: no"):
        apt._run(["sh", "-c", "echo no such package >&2; exit 100"])


def test_the_error_on_another_system():
    with pytest.raises(apt.AptError, match="neither Debian nor Ubuntu"):
        apt._run(["no-such-package-manager", "install"])
