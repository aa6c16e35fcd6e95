"""The schedule of main hotkeys, from the settings."""

from compute_horde.signing import Signer
from miner.config import Config
from miner.hotkeys.rules import MainHotkeySchedule


def main_hotkey_schedule(config: Config, hotkey: Signer) -> MainHotkeySchedule:
    """The main hotkeys of the settings in their order; without any, always `hotkey`."""
    return MainHotkeySchedule(
        config.main_hotkeys or (hotkey.ss58_address,), config.main_hotkey_cycles
    )
