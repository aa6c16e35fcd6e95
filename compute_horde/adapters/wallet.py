"""Bittensor hotkeys on disk, read and written as `bt.Wallet` does, without importing bittensor."""

import os
from pathlib import Path

from bittensor_core import (
    KeyfileError,
    Keypair,
    deserialize_keypair_from_keyfile_data,
    keyfile_data_is_encrypted,
    serialized_keypair_to_keyfile_data,
)

from compute_horde.errors import ConfigurationError

WALLETS = Path("~/.bittensor/wallets")
SECRET_MODE = 0o600
FOLDER_MODE = 0o700


def hotkey_path(name: str, hotkey_name: str, wallets: Path = WALLETS) -> Path:
    """Where a wallet keeps one of its hotkeys."""
    return wallets.expanduser() / name / "hotkeys" / hotkey_name


def load_hotkey(path: Path) -> Keypair:
    """The keypair in an unencrypted hotkey file, or `ConfigurationError` with the remedy."""
    try:
        data = path.expanduser().read_bytes()
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"there is no hotkey file at {path}; check the wallet's name, the hotkey's name and "
            "the folder of wallets"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(
            f"the hotkey file {path} cannot be read ({exc.strerror}); make it a file that this "
            "user may read"
        ) from exc
    if keyfile_data_is_encrypted(data):
        raise ConfigurationError(
            f"the hotkey file {path} is encrypted; services sign without anyone to ask, so give "
            "an unencrypted hotkey"
        )
    return _signing_keypair(path, data)


def write_hotkey(path: Path, keypair: Keypair) -> None:
    """Write an unencrypted hotkey file that only its owner may read; replaces what is there."""
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    with os.fdopen(file, "wb") as stream:
        stream.write(bytes(serialized_keypair_to_keyfile_data(keypair)))
    fresh.replace(path)


def _signing_keypair(path: Path, data: bytes) -> Keypair:
    try:
        keypair = deserialize_keypair_from_keyfile_data(data)
        keypair.sign(b"")
    except (KeyfileError, ValueError) as exc:
        # The cause may quote the file, and with it the secret.
        raise ConfigurationError(
            f"the file {path} holds no hotkey that can sign; give the hotkey file itself, not "
            "the public one (…pub.txt), or create it anew from its mnemonic"
        ) from exc
    return keypair
