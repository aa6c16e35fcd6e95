"""Wallet files that Bittensor's own tools can read."""

import json
import stat

import bittensor
import pytest
from bittensor_core import Keypair

from localnet.identities import ensure_identity
from localnet.network_dir import NetworkDir


def test_a_participant_keeps_its_keys(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    first = ensure_identity(network_dir, "validator")
    assert ensure_identity(network_dir, "validator") == first
    assert ensure_identity(network_dir, "miner").hotkey != first.hotkey
    assert first.hotkey != first.coldkey


def test_the_hotkey_file_is_plain_and_private(tmp_path):
    user = ensure_identity(NetworkDir.at(tmp_path), "user")
    kept = json.loads(user.hotkey_file.read_text())
    pair = Keypair.create_from_mnemonic(kept["secretPhrase"])
    assert pair.ss58_address == kept["ss58Address"] == user.hotkey
    assert stat.S_IMODE(user.hotkey_file.stat().st_mode) == 0o600


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_bittensor_opens_the_wallet(tmp_path):
    user = ensure_identity(NetworkDir.at(tmp_path), "user")
    wallet = bittensor.Wallet(name="user", hotkey="default", path=str(tmp_path / "wallets"))
    assert wallet.hotkey.ss58_address == user.hotkey
    assert wallet.coldkeypub.ss58_address == user.coldkey
