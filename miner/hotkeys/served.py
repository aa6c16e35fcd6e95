"""The hotkeys that this miner serves, each at its own port."""

from dataclasses import dataclass
from pathlib import Path

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.errors import ConfigurationError
from compute_horde.signing import Signer
from miner.config import Config


@dataclass(frozen=True, slots=True)
class ServedHotkey:
    """A hotkey, the port that validators reach it at, and the port announced for it."""

    signer: Signer
    port: int
    announced_port: int

    @property
    def ss58_address(self) -> str:
        """The address of the hotkey."""
        return self.signer.ss58_address


def load_hotkeys(config: Config) -> list[ServedHotkey]:
    """The hotkeys of the settings; the first is that of `MINER_HOTKEY_FILE`.

    Raises:
        ConfigurationError: a file cannot be used, or a hotkey or port is there twice.
    """
    first = primary(config, load_hotkey(config.hotkey_file))
    others = [
        ServedHotkey(load_hotkey(path), port, port) for path, port in config.other_hotkeys.items()
    ]
    hotkeys, ports = {first.ss58_address}, {config.port, config.admin_port}
    for path, one in zip(config.other_hotkeys, others, strict=True):
        _check_new(path, one, hotkeys, ports)
    return [first, *others]


def primary(config: Config, signer: Signer) -> ServedHotkey:
    """The hotkey of `MINER_HOTKEY_FILE` at the port of `MINER_PORT`."""
    return ServedHotkey(signer, config.port, config.external_port or config.port)


def _check_new(path: Path, one: ServedHotkey, hotkeys: set[str], ports: set[int]) -> None:
    if one.ss58_address in hotkeys:
        raise ConfigurationError(
            f"MINER_OTHER_HOTKEYS: {path} holds {one.ss58_address}, which is served already; "
            "list each hotkey once, and that of MINER_HOTKEY_FILE not at all"
        )
    if one.port in ports:
        raise ConfigurationError(
            f"MINER_OTHER_HOTKEYS: port {one.port} of {path} is in use by this miner; each hotkey "
            "needs a port of its own"
        )
    hotkeys.add(one.ss58_address)
    ports.add(one.port)
