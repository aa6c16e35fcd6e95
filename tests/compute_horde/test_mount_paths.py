"""Artifacts directories that cannot be mounted are known before anything is sent."""

import pytest

from compute_horde.mount_paths import artifacts_dir_problem


@pytest.mark.parametrize("path", ["/a", "/artifacts/", "/opt/.cache", "/volumes", "/proctor"])
def test_what_can_be_mounted_has_no_problem(path):
    assert artifacts_dir_problem(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a", "absolute"),
        ("/", "absolute"),
        ("/.", "absolute"),
        ("", "absolute"),
        ("/a/../b", "holds"),
        ("//a", "holds"),
        ("/a:b", "holds"),
        ("/a\0", "holds"),
        ("/volume", "taken"),
        ("/volume/", "taken"),
        ("/output/.", "taken"),
        ("/proc/1", "taken"),
        ("/dev", "taken"),
    ],
)
def test_what_cannot_is_named_with_the_reason(path, why):
    assert why in artifacts_dir_problem(path)
