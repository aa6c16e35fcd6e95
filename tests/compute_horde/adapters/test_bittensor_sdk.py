"""The chain's SDK is imported without the libraries for Ethereum."""

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


def test_the_adapter_imports_no_ethereum_library() -> None:
    code = (
        "import sys, compute_horde.adapters.chain\n"
        "print(sorted({'eth_account', 'eth_abi', 'Crypto', 'cffi'} & sys.modules.keys()))"
    )
    assert run(code) == "[]"


def test_a_program_that_imported_the_whole_sdk_keeps_it() -> None:
    code = (
        "import bittensor\n"
        "from compute_horde.adapters import bittensor_sdk\n"
        "print(bittensor_sdk.bittensor is bittensor, bittensor.evm.WEI_PER_TAO)"
    )
    assert run(code) == f"True {10**18}"
