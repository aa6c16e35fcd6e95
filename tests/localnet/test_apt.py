"""What is said when a package cannot be had."""

import pytest

from localnet import apt


def test_a_failing_command_is_named_with_its_words():
    with pytest.raises(apt.AptError, match="`sh -c echo no such package >&2; exit 100` failed: no"):
        apt._run(["sh", "-c", "echo no such package >&2; exit 100"])


def test_another_system_is_said_to_be_one():
    with pytest.raises(apt.AptError, match="neither Debian nor Ubuntu"):
        apt._run(["no-such-package-manager", "install"])
