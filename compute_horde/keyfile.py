"""Reads a Bittensor hotkey file like `bt.Wallet`, without importing bittensor."""

import os
from pathlib import Path

from bittensor_core import (
    KeyfileError,
    Keypair,
    deserialize_keypair_from_keyfile_data,
    keyfile_data_is_encrypted,
)

from compute_horde.errors import ConfigurationError


def load_hotkey(path: str | Path) -> Keypair:
    """The keypair in an unencrypted hotkey file; raises `ConfigurationError` with the remedy."""
    path = Path(path)
    try:
        data = path.expanduser().read_bytes()
    except RuntimeError as exc:
        raise ConfigurationError(
            f"the hotkey file {path} names a user whose home is not known"
        ) from exc
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"there is no hotkey file at {path}; check the wallet's name, the hotkey's name and "
            "the folder of wallets"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(
            f"the hotkey file {path} cannot be read ({exc.strerror}){_ownership_remedy(path)}"
        ) from exc
    if keyfile_data_is_encrypted(data):
        raise ConfigurationError(
            f"the hotkey file {path} is encrypted; programs sign without anyone to ask, so give "
            "an unencrypted hotkey"
        )
    return _signing_keypair(path, data)


def _ownership_remedy(path: Path) -> str:
    """The remedy when the file belongs to another user, as is common in containers."""
    try:
        owner = path.expanduser().stat().st_uid
    except OSError:
        return "; make it a file that this user may read"
    return (
        f": it belongs to user {owner} and this process runs as user {os.getuid()}; run it as "
        f"user {owner} (a container with `--user {owner}`) or give the file to {os.getuid()}"
    )


def _signing_keypair(path: Path, data: bytes) -> Keypair:
    try:
        keypair = deserialize_keypair_from_keyfile_data(data)
        keypair.sign(b"")
    except (KeyfileError, ValueError) as exc:
        # The cause may contain the file's content, and so the secret.
        raise ConfigurationError(
            f"the file {path} holds no hotkey that can sign; give the hotkey file itself, not "
            "the public one (…pub.txt), or create it anew from its mnemonic"
        ) from exc
    return keypair
