"""A transaction with weights is sent once, and no block after a given one can include it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.adapters import weights_transaction
from compute_horde.adapters.chain_port import ChainRefused
from compute_horde.adapters.weights_transaction import LONGEST_PERIOD, validity_period
from localnet.chain.admin import Admin
from tests.compute_horde.adapters.conftest import TAO, Open, key

OWNER = key("weights-owner").ss58_address


@pytest.mark.parametrize(
    ("final", "last", "period"),
    [
        (100, 104, None),
        (100, 105, 4),
        (100, 108, 4),
        (100, 109, 8),
        (100, 200, 64),
        (0, 10**6, 128),
    ],
)
def test_the_period_is_the_longest_that_ends_in_time(
    final: int, last: int, period: int | None
) -> None:
    assert validity_period(final, last) == period


@given(st.integers(0, 10**7), st.integers(-10, 400), st.integers(0, 2))
def test_even_when_signing_takes_some_blocks_it_ends_in_time(
    final: int, ahead: int, later: int
) -> None:
    period = validity_period(final, final + ahead)
    if period is not None:
        assert period & (period - 1) == 0
        assert 4 <= period <= LONGEST_PERIOD
        assert final + later + period - 1 <= final + ahead


@dataclass
class SlowClient:
    """Signs when the chain is `later` blocks further than when the period was chosen."""

    final: int
    later: int
    submitted: list[Any] = field(default_factory=list)

    async def plan(self, intent: Any, hotkey: Any) -> Any:
        del intent, hotkey
        return SimpleNamespace(call="call", extras={"reveal_round": 9})

    async def finalized_block(self) -> int:
        return self.final

    async def prepare_call(self, call: Any, *, address: str, period: int) -> Any:
        del call, address
        return SimpleNamespace(
            era={"period": period, "current": self.final + self.later}, payload=b""
        )

    async def submit_signature(self, unsigned: Any, signature: bytes) -> Any:
        self.submitted.append((unsigned, signature))
        raise ChainRefused("seen", "test")


async def test_a_transaction_that_was_signed_too_late_is_not_sent() -> None:
    client = SlowClient(final=100, later=3)
    with pytest.raises(ChainRefused, match="nothing was sent"):
        await weights_transaction.send(client, key("late"), None, last_block=105)  # type: ignore[arg-type]
    assert client.submitted == []


async def test_one_that_was_signed_in_time_is_sent_once() -> None:
    client = SlowClient(final=100, later=2)
    with pytest.raises(ChainRefused, match="seen"):
        await weights_transaction.send(client, key("prompt"), None, last_block=105)  # type: ignore[arg-type]
    assert len(client.submitted) == 1


def test_the_chain_takes_it(admin: Admin, signed_by: Open) -> None:
    uid = admin.add_neuron(key("ending").ss58_address, OWNER, 100 * TAO)
    validator = signed_by("ending")
    sent = validator.set_weights({uid: 65535}, version=2, last_block=validator.head() + 30)
    assert validator.weights(uid) == {uid: 65535}
    assert sent.block <= validator.head()


def test_without_room_nothing_is_signed(admin: Admin, signed_by: Open) -> None:
    uid = admin.add_neuron(key("too-late").ss58_address, OWNER, 100 * TAO)
    validator = signed_by("too-late")
    with pytest.raises(ChainRefused, match="too late to sign"):
        validator.set_weights({uid: 65535}, last_block=validator.head())
    assert validator.weights(uid) == {}
