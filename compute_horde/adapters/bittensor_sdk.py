"""Imports the Bittensor SDK without its Ethereum part, which nothing here uses.

That part, `bittensor.evm`, takes 0.8 s and 16 MiB of the 1.3 s and 32 MiB of the whole SDK, for
libraries of Ethereum keys and contracts. The SDK itself needs only one module of it at import,
`bittensor.evm.addresses`, so a package without content but with the same path is enough.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

__all__ = ["bittensor"]

SDK = "bittensor"
ETHEREUM = "bittensor.evm"


def _leave_out_ethereum() -> None:
    """Put a package without content in place of `bittensor.evm`; its modules stay importable."""
    found = find_spec(SDK)
    package = ModuleType(ETHEREUM, "Left out: see compute_horde.adapters.bittensor_sdk.")
    package.__path__ = [
        f"{place}/evm" for place in (found and found.submodule_search_locations) or ()
    ]
    sys.modules[ETHEREUM] = package


# A program that has imported the whole SDK already keeps it.
if SDK not in sys.modules:
    _leave_out_ethereum()

import bittensor  # noqa: E402
