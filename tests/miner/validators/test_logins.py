"""Remembered logins are limited in number and time."""

import time

import pytest

from compute_horde.protocol.handshake import ValidatorAuth
from miner.validators import logins
from miner.validators.logins import LoginMemory
from tests.miner.conftest import MINER, VALIDATOR


def login(at: float | None = None) -> ValidatorAuth:
    return ValidatorAuth.signed(VALIDATOR, MINER.ss58_address, int(at or time.time()))


@pytest.fixture
def memory() -> LoginMemory:
    return LoginMemory()


def test_logins_of_a_validator_are_limited(memory, monkeypatch):
    monkeypatch.setattr(logins, "LOGINS_PER_VALIDATOR", 3)
    assert [memory.refusal(login()) for _ in range(3)] == [None] * 3
    assert "more than 3 logins" in memory.refusal(login())


def test_a_login_is_forgotten_when_it_is_too_old_to_be_valid(memory, monkeypatch):
    auth = login()
    assert memory.refusal(auth) is None
    assert memory.refusal(auth)
    later = time.monotonic() + logins.REMEMBERED_SECONDS + 1
    monkeypatch.setattr(logins.time, "monotonic", lambda: later)
    assert memory.refusal(login()) is None
    assert sum(map(len, memory._seen.values())) == 1
