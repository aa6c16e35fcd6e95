"""The schedule of the settings."""

from miner.config import config
from miner.hotkeys.schedule import main_hotkey_schedule
from tests.miner.conftest import MINER


def test_without_main_hotkeys_the_first_hotkey_is_always_the_main_one() -> None:
    assert main_hotkey_schedule(config, MINER).at(7) == MINER.ss58_address


def test_the_main_hotkeys_of_the_settings_take_turns() -> None:
    changed = config.model_copy(update={"main_hotkeys": ("a", "b"), "main_hotkey_cycles": 2})
    schedule = main_hotkey_schedule(changed, MINER)
    assert [schedule.at(number) for number in range(5)] == ["a", "a", "b", "b", "a"]
