"""Explained scores, signed as validators publish them."""

import json
from typing import Any

from bittensor_core import Keypair

from compute_horde.signing import compact_json, signed_hex


def item(executor_class: str, amount: str, reason: str = "completed synthetic jobs") -> Any:
    return {
        "executor_class": executor_class,
        "reason": reason,
        "number": "3",
        "unit": "jobs",
        "amount": amount,
        "remedy": None if float(amount) else "offer more",
    }


def explained(signer: Keypair, of: str, *items: Any, **changes: Any) -> bytes:
    document = {
        "type": "score",
        "validator": signer.ss58_address,
        "hotkey": of,
        "uid": 1,
        "cycle_start": 0,
        "cycle_stop": 722,
        "formula": "jobs",
        "version": "jobs-1",
        "share": "0.5",
        "u16": 65535,
        "items": list(items),
    }
    text = compact_json(document | changes).decode()
    signature = signed_hex(signer, text.encode())
    return json.dumps({"document": text, "signature": signature}).encode()
