"""The command `main-hotkey`."""

from pathlib import Path

import pytest

from compute_horde.adapters.wallet import write_hotkey
from compute_horde.cycles import Cycle
from compute_horde.errors import ConfigurationError
from miner.config import Config, config
from miner.hotkeys import actions
from miner.hotkeys.commands import main_hotkey
from miner.hotkeys.rules import MainHotkeySchedule
from tests.miner.conftest import MINER, STRANGER

pytestmark = pytest.mark.django_db

OURS, OTHER = MINER.ss58_address, STRANGER.ss58_address


@pytest.fixture
def configured(tmp_path: Path) -> Config:
    write_hotkey(tmp_path / "hotkey", MINER)
    return config.model_copy(
        update={"hotkey_file": tmp_path / "hotkey", "other_hotkeys": {}, "main_hotkeys": ()}
    )


def test_it_shows_the_present_and_the_next_main_hotkey(
    configured: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    main_hotkey(configured, [])
    assert "no cycle is known yet" in capsys.readouterr().out
    actions.begin_cycle(Cycle(0, 722, 0), MainHotkeySchedule((OURS,)))
    main_hotkey(configured, [OTHER])
    assert capsys.readouterr().out.splitlines() == [
        "this miner does not serve that hotkey; another one of yours must",
        f"{OURS} is the main hotkey in blocks 0 to 721 (by MINER_MAIN_HOTKEYS)",
        f"{OTHER} is next, from block 722 on",
    ]
    main_hotkey(configured, [OTHER, "--now"])
    assert f"{OTHER} is the main hotkey in blocks 0 to 721 (by order" in capsys.readouterr().out
    main_hotkey(configured, ["--schedule"])
    assert f"{OURS} is next" in capsys.readouterr().out


def test_what_is_no_hotkey_is_refused(configured: Config) -> None:
    with pytest.raises(ConfigurationError, match="SS58"):
        main_hotkey(configured, ["5Mistyped"])
