"""The generated pages match the code."""

import re

import pytest

from docs import generate
from docs.weaknesses import WEAKNESSES

PAGES = generate.pages()
TESTS = generate.HERE.parent / "tests"


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name):
    written = (generate.HERE / name).read_text()
    assert written == PAGES[name], "run `python -m docs.generate`"


@pytest.mark.parametrize("name", sorted(path.name for path in generate.HERE.glob("*.md")))
def test_a_file_that_a_page_names_exists(name):
    """By its whole path, or for tests by a name that is there once or more."""
    tree = generate.HERE.parent
    named = re.findall(r"`([\w/]+(?:\.py|\.toml))`", (generate.HERE / name).read_text())
    missing = [one for one in named if "/" in one and not (tree / one).exists()]
    known = {path.name for path in tree.rglob("*.py") if ".venv" not in path.parts}
    missing += [one for one in named if "/" not in one and one not in known]
    assert not missing


def test_every_link_within_the_protocol_leads_somewhere():
    text = PAGES["protocol.md"]
    headings = {line[4:].lower() for line in text.splitlines() if line.startswith("### ")}
    linked = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert linked <= headings
    assert len(headings) > 60


@pytest.mark.parametrize(
    "sent",
    [
        '| `message`, once `error_detail` | text | `""` |',
        "| `port` | whole number (from 0, below 65536) | refused |",
        '| `volume_type` | `"inline"` | refused |',
        "| `env` | object: text to text | `{}` |",
        "list of [Receipt](#receipt)",
    ],
)
def test_the_protocol_tells_keys_kinds_bounds_and_defaults(sent):
    assert sent in PAGES["protocol.md"]


@pytest.mark.parametrize(
    "sent",
    [
        "    volumes_ready --> streaming_ready",
        "| `executor_ready` | ExecutorReady | leeway + download | its beginning |",
        "| `volumes_ready` | VolumesReady | execution | the deadline before |",
        "| `volumes_ready` of a streaming job | VolumesReady | streaming_start |",
    ],
)
def test_the_lifecycle_tells_roads_and_times(sent):
    assert sent in PAGES["lifecycle.md"]


@pytest.mark.parametrize(
    "sent",
    [
        "| `MINER_PORT` | `8000` | the public port, announced on the chain |",
        "| `MINER_DOCKER_HOST` or `DOCKER_HOST` | `unix:///var/run/docker.sock` |",
        "| `MINER_SECRET_KEY` | random |",
        '| `MINER_EXECUTORS` | `{"always_on.test":1}` |',
        "| `EXECUTOR_CLASS` |  | known ahead of the first job |",
    ],
)
def test_the_settings_tell_names_and_defaults(sent):
    assert sent in PAGES["miner-settings.md"]


def test_every_known_weakness_is_closed_by_tests_or_its_rest_is_told():
    assert [one.number for one in WEAKNESSES] == list(range(1, 31))
    for one in WEAKNESSES:
        assert one.closed_by or one.remains, one.number
        assert bool(one.remains) == bool(one.mitigation), one.number


@pytest.mark.parametrize("test", sorted({test for one in WEAKNESSES for test in one.closed_by}))
def test_a_test_that_is_said_to_close_a_weakness_exists(test):
    path, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.MULTILINE)
