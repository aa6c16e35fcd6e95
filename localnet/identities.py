"""The wallets of a local network: plain Bittensor files, made once."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from localnet.home import Home


@dataclass(frozen=True, slots=True)
class Identity:
    """One participant: the coldkey owns, the hotkey works."""

    name: str
    hotkey: str
    coldkey: str
    hotkey_file: Path


def identity(home: Home, name: str) -> Identity:
    """The participant of this name, with a new wallet when it has none yet."""
    wallet = home.path / "wallets" / name
    hotkey_file = wallet / "hotkeys" / "default"
    coldkey = _address(wallet / "coldkey")
    (wallet / "coldkeypub.txt").write_text(json.dumps({"ss58Address": coldkey}))
    return Identity(name, _address(hotkey_file), coldkey, hotkey_file)


def _address(key_file: Path) -> str:
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        pair = Keypair.create_from_mnemonic(Keypair.generate_mnemonic())
        draft = key_file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_bytes(serialized_keypair_to_keyfile_data(pair))
        os.replace(draft, key_file)
    return str(json.loads(key_file.read_text())["ss58Address"])
