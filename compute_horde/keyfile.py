"""A Bittensor hotkey file, read as `bt.Wallet` does, without importing bittensor."""

from pathlib import Path

from bittensor_core import (
    KeyfileError,
    Keypair,
    deserialize_keypair_from_keyfile_data,
    keyfile_data_is_encrypted,
)

from compute_horde.errors import ConfigurationError


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
            f"the hotkey file {path} is encrypted; programs sign without anyone to ask, so give "
            "an unencrypted hotkey"
        )
    return _signing_keypair(path, data)


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
