"""The hotkeys of the settings, each with a port of its own."""

from pathlib import Path

import pytest

from compute_horde.adapters.wallet import write_hotkey
from compute_horde.errors import ConfigurationError
from miner.config import Config, config
from miner.hotkeys.served import load_hotkeys
from tests.miner.conftest import MINER, STRANGER


@pytest.fixture
def configured(tmp_path: Path) -> Config:
    first, other = tmp_path / "first", tmp_path / "other"
    write_hotkey(first, MINER)
    write_hotkey(other, STRANGER)
    update = {"hotkey_file": first, "port": 8000, "admin_port": 8002, "external_port": 4000}
    return config.model_copy(update=update | {"other_hotkeys": {other: 8001}})


def test_each_hotkey_has_a_port_and_the_first_one_that_of_the_miner(configured: Config) -> None:
    first, other = load_hotkeys(configured)
    assert (first.ss58_address, first.port, first.announced_port) == (
        MINER.ss58_address,
        8000,
        4000,
    )
    assert (other.ss58_address, other.port, other.announced_port) == (
        STRANGER.ss58_address,
        8001,
        8001,
    )


@pytest.mark.parametrize(
    ("name", "port", "problem"), [("first", 8001, "already"), ("other", 8002, "in use")]
)
def test_a_hotkey_or_port_that_is_there_twice_is_refused(
    configured: Config, name: str, port: int, problem: str
) -> None:
    changed = configured.model_copy(
        update={"other_hotkeys": {configured.hotkey_file.with_name(name): port}}
    )
    with pytest.raises(ConfigurationError, match=problem):
        load_hotkeys(changed)
