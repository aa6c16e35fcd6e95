"""The command `earnings`."""

import json

import pytest

from compute_horde.errors import ConfigurationError
from miner.earnings.commands import earnings
from tests.miner.earnings.rows import cycle

pytestmark = pytest.mark.django_db


def test_it_prints_the_newest_cycle_or_another_as_text_or_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    earnings([])
    assert capsys.readouterr().out.startswith("no cycle is known")
    cycle(1, hours_ago=3)
    cycle(2, hours_ago=1)
    earnings([])
    assert capsys.readouterr().out.startswith("cycle of blocks 1444 to 2165\n")
    earnings(["--cycle", "722", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["cycle_start"], found["paid"]) == (722, [])


def test_a_cycle_that_is_not_known_is_named_with_the_newest_ones() -> None:
    cycle(1, hours_ago=3)
    with pytest.raises(ConfigurationError, match="block 5; the newest are 722"):
        earnings(["--cycle", "5"])
