"""Messages that carry receipts from validator to miner."""

from typing import Literal

from compute_horde.protocol.message import Message
from compute_horde.receipts import JobAcceptedReceipt, JobFinishedReceipt


class AcceptedReceiptIssued(Message):
    """validator -> miner: right after the miner accepted; not acknowledged."""

    message_type: Literal["V0JobAcceptedReceiptRequest"] = "V0JobAcceptedReceiptRequest"
    payload: JobAcceptedReceipt
    signature: str


class FinishedReceiptIssued(Message):
    """validator -> miner: at the end, with score 0 after a failure; not acknowledged."""

    message_type: Literal["V0JobFinishedReceiptRequest"] = "V0JobFinishedReceiptRequest"
    payload: JobFinishedReceipt
    signature: str
