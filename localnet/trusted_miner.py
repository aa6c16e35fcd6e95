"""The settings that make a miner of the network the validator's trusted one."""

from localnet.network_dir import NetworkDir

NAME = "miner-trusted"


def miner_settings(validator_hotkey: str) -> dict[str, str]:
    """What a miner needs to be one."""
    return {"TRUSTED": "true", "SERVING": "false", "VALIDATORS": validator_hotkey}


def validator_settings(network_dir: NetworkDir) -> dict[str, str]:
    """Where the validator finds it."""
    return {
        "TRUSTED_MINER_ADDRESS": "127.0.0.1",
        "TRUSTED_MINER_PORT": str(network_dir.port(NAME)),
    }
