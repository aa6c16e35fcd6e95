"""The generated pages say what the code says."""

import pytest

from docs import generate

PAGES = generate.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name):
    written = (generate.HERE / name).read_text()
    assert written == PAGES[name], "run `python -m docs.generate`"


def test_every_link_within_the_protocol_leads_somewhere():
    text = PAGES["protocol.md"]
    headings = {line[4:].lower() for line in text.splitlines() if line.startswith("### ")}
    linked = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert linked <= headings
    assert len(headings) > 60


@pytest.mark.parametrize(
    "told",
    [
        '| `message`, once `error_detail` | text | `""` |',
        "| `port` | whole number (from 0, below 65536) | refused |",
        '| `volume_type` | `"inline"` | refused |',
        "| `env` | object: text to text | `{}` |",
        "list of [Receipt](#receipt)",
    ],
)
def test_the_protocol_tells_keys_kinds_bounds_and_defaults(told):
    assert told in PAGES["protocol.md"]


@pytest.mark.parametrize(
    "told",
    [
        "    volumes_ready --> streaming_ready",
        "| `executor_ready` | ExecutorReady | leeway + download | its beginning |",
        "| `volumes_ready` | VolumesReady | execution | the deadline before |",
        "| `volumes_ready` of a streaming job | VolumesReady | streaming_start |",
    ],
)
def test_the_lifecycle_tells_roads_and_times(told):
    assert told in PAGES["lifecycle.md"]


@pytest.mark.parametrize(
    "told",
    [
        "| `MINER_PORT` | `8000` | the one port, announced on the chain |",
        "| `MINER_DOCKER_HOST` or `DOCKER_HOST` | `unix:///var/run/docker.sock` |",
        "| `MINER_SECRET_KEY` | random |",
        '| `MINER_EXECUTORS` | `{"always_on.test":1}` |',
        "| `EXECUTOR_CLASS` |  | known ahead of the first job |",
    ],
)
def test_the_settings_tell_names_and_defaults(told):
    assert told in PAGES["miner-settings.md"]
