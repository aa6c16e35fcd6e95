"""Each call has a time limit, and each of the SDK's errors becomes one of ours."""

import asyncio

import bittensor
import pytest

from compute_horde.adapters.chain_calls import REFUSALS, SdkCalls
from compute_horde.adapters.chain_port import ChainRefused, ChainUnreachable, ChainUnreadable
from compute_horde.errors import ChainError


@pytest.fixture
def calls():
    running = SdkCalls(read_seconds=0.05, write_seconds=60)
    yield running
    running.stop()


async def never() -> None:
    await asyncio.Event().wait()


async def raising(problem: Exception) -> None:
    raise problem


async def answering(value: int) -> int:
    await asyncio.sleep(0.1)
    return value


def test_reading_and_writing_have_limits_of_their_own(calls: SdkCalls) -> None:
    with pytest.raises(ChainUnreachable, match=r"within 0\.05 seconds"):
        calls.read(never())
    assert calls.write(answering(5)) == 5


def test_closing_a_node_that_does_not_answer_is_no_error(calls: SdkCalls) -> None:
    calls.close(raising(OSError("gone")))
    calls.close(raising(bittensor.BittensorError("gone")))


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (OSError("refused"), ChainUnreachable),
        (bittensor.RpcConnectionError("refused"), ChainUnreachable),
        (bittensor.BittensorError("weights"), ChainRefused),
        (ValueError("weights"), ChainRefused),
        (KeyError("weights"), ChainRefused),
        (ChainUnreadable("metagraph"), ChainUnreadable),
    ],
)
def test_an_error_of_the_sdk_becomes_one_of_ours(
    calls: SdkCalls, problem: Exception, kind: type[ChainError]
) -> None:
    with pytest.raises(kind, match=r"refused|weights|metagraph"):
        calls.write(raising(problem))


@pytest.mark.parametrize(("code", "kind"), REFUSALS.items())
def test_a_refusal_keeps_the_chains_own_name(
    calls: SdkCalls, code: bittensor.ErrorCode, kind: type[ChainRefused]
) -> None:
    with pytest.raises(kind) as refused:
        calls.write(raising(bittensor.ChainError("no", code=code, name="Wrong")))
    assert (refused.value.reason, refused.value.name) == (code.value, "Wrong")
