"""Bittensor hotkey files in the layout of `bt.Wallet`, without importing bittensor."""

import os
from pathlib import Path

from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from compute_horde.keyfile import load_hotkey

__all__ = ["hotkey_path", "load_hotkey", "write_hotkey"]

WALLETS = Path("~/.bittensor/wallets")
SECRET_MODE = 0o600
FOLDER_MODE = 0o700


def hotkey_path(name: str, hotkey_name: str, wallets: Path = WALLETS) -> Path:
    """The path of one of a wallet's hotkeys."""
    return wallets.expanduser() / name / "hotkeys" / hotkey_name


def write_hotkey(path: Path, keypair: Keypair) -> None:
    """Write an unencrypted hotkey file that only its owner may read; replaces an existing one."""
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    with os.fdopen(file, "wb") as stream:
        stream.write(bytes(serialized_keypair_to_keyfile_data(keypair)))
    fresh.replace(path)
