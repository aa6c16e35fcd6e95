"""Signatures, eras and nonces of extrinsics, and the pool."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localnet.chain.extrinsics import Era, InvalidExtrinsicError
from tests.localnet.chain.workbench import Workbench, key

REMARK = {"remark": list(b"hi")}


def remark(bench: Workbench, name: str = "a", **how: object) -> bytes:
    return bench.sign(name, "remark", REMARK, pallet="System", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("crypto_type", [0, 1])
def test_both_kinds_of_keys_may_sign(bench: Workbench, crypto_type: int) -> None:
    signed = bench.node.submit(remark(bench, crypto_type=crypto_type, nonce=0))
    assert (signed.pallet, signed.function, signed.nonce) == ("System", "remark", 0)


def test_a_changed_byte_is_a_bad_signature_or_no_extrinsic(bench: Workbench) -> None:
    good = remark(bench)
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(InvalidExtrinsicError):
            bench.node.submit(bytes(bad))
    bench.node.submit(good)


def test_a_signature_for_another_chain_is_bad(bench: Workbench) -> None:
    with pytest.raises(InvalidExtrinsicError, match="bad signature"):
        bench.node.submit(remark(bench, genesis=bytes(32)))


def test_a_nonce_is_used_once(bench: Workbench) -> None:
    first = remark(bench)
    bench.node.submit(first)
    with pytest.raises(InvalidExtrinsicError) as again:
        bench.node.submit(first)
    assert again.value.code == 1013
    with pytest.raises(InvalidExtrinsicError) as other:
        bench.node.submit(bench.sign("a", "remark", {"remark": [1]}, pallet="System", nonce=0))
    assert other.value.code == 1014
    bench.node.produce()
    with pytest.raises(InvalidExtrinsicError, match="outdated"):
        bench.node.submit(first)


def test_a_nonce_ahead_waits_for_those_before(bench: Workbench) -> None:
    account = key("a").ss58_address
    late = bench.node.submit(remark(bench, nonce=1))
    bench.node.produce()
    assert bench.listener.statuses == []
    assert bench.node.next_nonce(account) == 0
    early = bench.node.submit(remark(bench, nonce=0))
    assert bench.node.next_nonce(account) == 2
    block = bench.node.produce()
    assert block.extrinsics == (early.raw, late.raw)
    assert bench.node.next_nonce(account) == 2


def test_an_era_holds_for_its_blocks_and_no_longer(bench: Workbench) -> None:
    bench.advance(10)
    raw = remark(bench, era={"period": 4, "phase": 2}, era_block=10)
    bench.advance(3)
    with pytest.raises(InvalidExtrinsicError, match="ancient birth block"):
        bench.node.submit(raw)
    bench.advance(1)
    with pytest.raises(InvalidExtrinsicError, match="bad signature"):
        bench.node.submit(raw)


def test_an_era_is_good_until_its_last_block(bench: Workbench) -> None:
    bench.advance(12)
    raw = remark(bench, era={"period": 4, "phase": 2}, era_block=10)
    signed = bench.node.submit(raw)
    assert signed.last_block == 13
    assert bench.node.produce().extrinsics == (raw,)


def test_an_expired_extrinsic_is_reported_as_invalid(bench: Workbench) -> None:
    bench.advance(10)
    signed = bench.node.submit(remark(bench, nonce=5, era={"period": 4, "phase": 2}, era_block=10))
    bench.advance(4)
    assert bench.listener.statuses == [(signed.hash, "invalid")]


def test_an_era_of_the_future_has_no_birth_yet(bench: Workbench) -> None:
    with pytest.raises(InvalidExtrinsicError, match="ancient birth block"):
        bench.node.submit(remark(bench, era={"period": 64, "phase": 40}))


@given(st.integers(1, 14).map(lambda power: 2 << power), st.data())
def test_a_block_is_in_its_own_era(period: int, data: st.DataObject) -> None:
    phase = data.draw(st.integers(0, period - 1))
    current = data.draw(st.integers(phase, 10**6))
    era = Era(period, phase)
    last = era.last(current)
    assert last is not None
    assert era.birth(current) <= current <= last
    assert era.birth(current) % period == phase
    assert era.birth(last + 1) == last + 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_breaks(bench: Workbench, data: bytes) -> None:
    with pytest.raises(InvalidExtrinsicError):
        bench.node.submit(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.integers(0, 140), st.integers(0, 60))
def test_a_mangled_extrinsic_is_refused_and_nothing_breaks(
    bench: Workbench, insert: bytes, at: int, cut: int
) -> None:
    good = remark(bench, nonce=0)
    mangled = good[:at] + insert + good[at + cut :]
    if mangled != good:
        with pytest.raises(InvalidExtrinsicError):
            bench.node.submit(mangled)


def test_the_pool_is_bounded(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.chain.extrinsics.POOL_LIMIT", 3)
    for nonce in range(3):
        bench.node.submit(remark(bench, nonce=nonce))
    with pytest.raises(InvalidExtrinsicError) as full:
        bench.node.submit(remark(bench, nonce=3))
    assert full.value.code == 1016
