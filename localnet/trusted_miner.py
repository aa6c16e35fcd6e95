"""The settings that make a miner of the network the validator's trusted one."""

from collections.abc import Mapping

from localnet.network_dir import NetworkDir

NAME = "miner-trusted"
MINER_SETTINGS: Mapping[str, str] = {"TRUSTED": "true", "SERVING": "false"}


def validator_settings(network_dir: NetworkDir) -> dict[str, str]:
    """Where the validator finds it."""
    return {
        "TRUSTED_MINER_ADDRESS": "127.0.0.1",
        "TRUSTED_MINER_PORT": str(network_dir.port(NAME)),
    }
