"""Hotkey files are the SDK's own, both ways."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bittensor
import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from compute_horde.adapters.wallet import hotkey_path, load_hotkey, write_hotkey
from compute_horde.errors import ConfigurationError

MESSAGE = b"who signed this?"


@pytest.fixture
def keypair() -> Keypair:
    return Keypair.create_from_mnemonic(Keypair.generate_mnemonic())


def test_what_the_sdk_writes_we_read(tmp_path: Path) -> None:
    wallet = bittensor.Wallet("mine", "first", str(tmp_path))
    wallet.create_new_hotkey(suppress=True)
    read = load_hotkey(hotkey_path("mine", "first", tmp_path))
    assert read.ss58_address == wallet.hotkey.ss58_address
    assert wallet.hotkey.verify(MESSAGE, read.sign(MESSAGE))


@pytest.mark.parametrize("uri", ["//Alice", "//Alice//stash", "//Bob///secret"])
def test_what_we_write_the_sdk_reads(tmp_path: Path, uri: str) -> None:
    keypair = Keypair.create_from_uri(uri)
    write_hotkey(hotkey_path("ours", "first", tmp_path), keypair)
    wallet = bittensor.Wallet("ours", "first", str(tmp_path))
    assert wallet.hotkey.ss58_address == keypair.ss58_address
    assert keypair.verify(MESSAGE, wallet.hotkey.sign(MESSAGE))


def test_a_file_of_the_first_wallets_is_read(tmp_path: Path, keypair: Keypair) -> None:
    data = json.loads(serialized_keypair_to_keyfile_data(keypair))
    kept = ("accountId", "publicKey", "secretPhrase", "secretSeed", "ss58Address")
    (tmp_path / "old").write_text(json.dumps({name: data[name] for name in kept}))
    assert load_hotkey(tmp_path / "old").ss58_address == keypair.ss58_address


def test_only_the_owner_may_read_what_we_write(tmp_path: Path, keypair: Keypair) -> None:
    path = hotkey_path("ours", "first", tmp_path)
    before = os.umask(0)
    try:
        write_hotkey(path, keypair)
        write_hotkey(path, keypair)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [one.name for one in path.parent.iterdir()] == ["first"]


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent.*check the wallet's name"):
        load_hotkey(tmp_path / "absent")


def test_a_folder_is_no_hotkey_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_hotkey(tmp_path)


@pytest.mark.parametrize("mark", [b"$NACL", b"$ANSIBLE_VAULT;1.1;AES256", b"gAAAAA"])
def test_an_encrypted_file_is_refused_without_asking(tmp_path: Path, mark: bytes) -> None:
    # Encrypting a real one takes seconds; this prefix identifies it.
    (tmp_path / "locked").write_bytes(mark + b"sealed")
    with pytest.raises(ConfigurationError, match=r"locked is encrypted"):
        load_hotkey(tmp_path / "locked")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"secretSeed": "0x12"}'])
def test_a_file_with_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"odd holds no hotkey"):
        load_hotkey(tmp_path / "odd")


def test_a_public_key_file_is_refused_because_it_cannot_sign(tmp_path: Path) -> None:
    wallet = bittensor.Wallet("mine", "first", str(tmp_path))
    wallet.create_new_hotkey(suppress=True)
    with pytest.raises(ConfigurationError, match="not the public one"):
        load_hotkey(hotkey_path("mine", "firstpub.txt", tmp_path))


def test_reading_a_hotkey_does_not_import_the_sdk() -> None:
    program = "import sys, compute_horde.adapters.wallet; print('bittensor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
