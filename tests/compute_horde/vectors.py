"""The recorded vectors of the published packages, and the development keys that signed them."""

import json
from pathlib import Path
from typing import Any

from bittensor_core import Keypair

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
KEYS = {role: Keypair.create_from_uri(key["uri"]) for role, key in VECTORS["roles"].items()}
VALIDATOR, MINER, USER = KEYS["validator"], KEYS["miner"], KEYS["sdk_user"]
JOB = VECTORS["receipts"][0]["payload"]["job_uuid"]


def compact(value: Any) -> str:
    """A frame as published senders write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
