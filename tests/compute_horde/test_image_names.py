"""Which images a list of patterns matches."""

import pytest

from compute_horde.image_names import ImageName, is_listed

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("org/name", "org/name"),
        ("org/name:v1", "org/name"),
        (f"org/name@{DIGEST}", "org/name"),
        ("org/name:v1", "org/name:v1"),
        ("org/name", "org/name:latest"),
        (f"org/name:v1@{DIGEST}", f"org/name@{DIGEST}"),
        ("org/name:v1", "org/*"),
        ("org/name:v12", "org/name:v1*"),
        ("host:5000/name:v1", "host:5000/name"),
        ("anything/at:all", "*"),
    ],
)
def test_listed(image, pattern):
    assert is_listed(image, ["another", pattern])


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("org/name2", "org/name"),
        ("evil/org/name", "org/name"),
        ("org/name:v2", "org/name:v1"),
        ("org/name", "org/name:v1"),
        (f"org/name:v1@{DIGEST}", "org/name:v1"),
        ("org/name:v1", f"org/name@{DIGEST}"),
        ("host:5000/name", "host/name"),
        ("ORG/name", "org/name"),
        ("", "org/name"),
    ],
)
def test_not_listed(image, pattern):
    assert not is_listed(image, [pattern])


def test_an_empty_list_has_nobody():
    assert not is_listed("org/name", [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ubuntu", ("docker.io", "library/ubuntu", "latest", "")),
        ("ubuntu:22.04", ("docker.io", "library/ubuntu", "22.04", "")),
        ("org/x", ("docker.io", "org/x", "latest", "")),
        ("docker.io/ubuntu", ("docker.io", "library/ubuntu", "latest", "")),
        ("index.docker.io/org/x:1", ("docker.io", "org/x", "1", "")),
        ("GHCR.io/org/x", ("ghcr.io", "org/x", "latest", "")),
        (f"org/x@{DIGEST}", ("docker.io", "org/x", "", DIGEST)),
        (f"org/x:1@{DIGEST}", ("docker.io", "org/x", "", DIGEST)),
        ("localhost/x", ("localhost", "x", "latest", "")),
        ("127.0.0.1:5000/a/b:1", ("127.0.0.1:5000", "a/b", "1", "")),
        ("169.254.169.254/latest/meta-data", ("169.254.169.254", "latest/meta-data", "latest", "")),
    ],
)
def test_a_name_is_divided_as_engines_do_it(text, parts):
    name = ImageName.parse(text)
    assert (name.registry, name.repository, name.tag, name.digest) == parts


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "a//b", "a/../b", "UPPER", "a b", "a:", "x" * 500, "a?b", "a#b", "user@host/x"),
        *(
            "a@sha256:00",
            f"a@{DIGEST}0",
            "a@md5:" + "0" * 32,
            "a:b:c",
            "[::1]:5000/x",
            "a.b:99999999/x",
        ),
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ValueError, match=r"name|tag|digest"):
        ImageName.parse(text)


def test_the_short_form_is_that_of_the_engine_s_lists():
    for text in ("ubuntu", "org/x", "ghcr.io/org/x"):
        assert ImageName.parse(text).familiar == text
