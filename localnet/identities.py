"""Creates the wallets of a local network, as unencrypted Bittensor key files."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from localnet.network_dir import NetworkDir


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """The keys of one participant: SS58 addresses and the file of the hotkey."""

    name: str
    hotkey: str
    coldkey: str
    hotkey_file: Path


def ensure_identity(network_dir: NetworkDir, name: str) -> LocalIdentity:
    """The participant of this name; creates its wallet if there is none."""
    wallet = network_dir.path / "wallets" / name
    hotkey_file = wallet / "hotkeys" / "default"
    coldkey = _ensure_key(wallet / "coldkey")
    (wallet / "coldkeypub.txt").write_text(json.dumps({"ss58Address": coldkey}))
    return LocalIdentity(name, _ensure_key(hotkey_file), coldkey, hotkey_file)


def _ensure_key(key_file: Path) -> str:
    """The SS58 address of the key in this file; creates both if there is none."""
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        pair = Keypair.create_from_mnemonic(Keypair.generate_mnemonic())
        temporary = key_file.with_suffix(".draft")
        temporary.touch(mode=0o600)
        temporary.write_bytes(serialized_keypair_to_keyfile_data(pair))
        os.replace(temporary, key_file)
    return str(json.loads(key_file.read_text())["ss58Address"])
