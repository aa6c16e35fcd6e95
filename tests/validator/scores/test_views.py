"""Anyone can read why a miner earned what it earned, signed by the validator."""

import json

import pytest
from django.test import Client

from compute_horde import signing
from tests.peers.keys import VALIDATOR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_scored")]


@pytest.mark.parametrize("address", ["/scores/alice", "/scores/708/alice"])
def test_the_signed_document_is_public(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    body = answer.json()
    signing.verify_hex(VALIDATOR.ss58_address, body["document"].encode(), body["signature"])
    assert json.loads(body["document"])["cycle_start"] == 708


@pytest.mark.parametrize(
    "address", ["/scores/bob", "/scores/7/alice", "/scores/999999999999/alice"]
)
def test_what_is_not_there_is_a_404(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("address", ["/scores/a0b", "/scores/" + "a" * 65, "/scores/-1/alice"])
def test_what_is_no_hotkey_or_block_has_no_address(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_only_reading_is_possible(client: Client) -> None:
    assert client.post("/scores/alice").status_code == 405
