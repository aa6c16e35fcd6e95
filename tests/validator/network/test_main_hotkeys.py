"""Main hotkeys are asked for once per cycle, and only hotkeys of the same coldkey count."""

import pytest
from django.utils import timezone

from tests.validator.chains import FakeChain, neuron
from validator.network import actions
from validator.network.main_hotkeys import main_hotkeys, open_question, store_answers
from validator.network.models import NamedMainHotkey

pytestmark = pytest.mark.django_db

# On this netuid cycles of 20 blocks begin at multiples of 20.
GRID = {"netuid": 8, "tempo": 9}
MINERS = ["a1", "a2", "b"]


@pytest.fixture(autouse=True)
def _registered() -> None:
    owners = {"a2": "A", "a1": "A", "b": "B", "elsewhere": "C"}
    actions.refresh_metagraph(
        FakeChain(
            block=100,
            neurons=[
                neuron(uid, hotkey, coldkey=coldkey)
                for uid, (hotkey, coldkey) in enumerate(owners.items())
            ],
        )
    )


def test_nobody_is_asked_before_a_quarter_of_the_cycle() -> None:
    assert open_question(104, MINERS, **GRID) is None
    question = open_question(105, MINERS, **GRID)
    assert question is not None
    assert question.cycle.start == 100
    assert list(question.coldkeys.items()) == [("a2", "A"), ("a1", "A"), ("b", "B")]


def test_the_answer_of_the_lowest_uid_counts_and_is_never_changed() -> None:
    question = open_question(105, MINERS, **GRID)
    assert question is not None
    store_answers(question, {"a1": "a1", "a2": "a2"})
    assert main_hotkeys(100, 101) == {"A": "a2"}
    later = open_question(119, MINERS, **GRID)
    assert later is not None
    assert dict(later.coldkeys) == {"b": "B"}
    store_answers(question, {"a2": "a1", "b": "b"})
    assert main_hotkeys(100, 101) == {"A": "a2", "B": "b"}
    assert open_question(119, MINERS, **GRID) is None
    assert open_question(125, MINERS, **GRID) is not None


def test_what_is_not_a_registered_hotkey_of_the_coldkey_is_no_main_hotkey() -> None:
    question = open_question(105, MINERS, **GRID)
    assert question is not None
    store_answers(question, {"a1": "a1", "a2": "elsewhere", "b": "nobody" * 100})
    assert main_hotkeys(100, 101) == {"A": "a1"}
    assert NamedMainHotkey.objects.get().named_by == "a1"


def test_without_an_answer_they_are_asked_again() -> None:
    question = open_question(105, MINERS, **GRID)
    assert question is not None
    store_answers(question, dict.fromkeys(MINERS))
    assert open_question(106, MINERS, **GRID) == question


def test_of_several_cycles_the_latest_answer_counts() -> None:
    for start, hotkey in ((80, "a1"), (100, "a2"), (120, "b")):
        NamedMainHotkey.objects.create(
            coldkey="A", cycle_start=start, hotkey=hotkey, named_by="a1", named_at=timezone.now()
        )
    assert main_hotkeys(80, 120) == {"A": "a2"}
    assert main_hotkeys(81, 100) == {}
