"""The pallets of the local runtime: the part of subtensor's that ComputeHorde uses."""

from localnet.chain import runtime_types
from localnet.chain.metadata import Constant, Pallet, StorageItem, StorageKey
from localnet.chain.scale import uint
from localnet.chain.scale_types import BYTES, Compact, variant
from localnet.chain.subtensor_pallet import subtensor

COMMITMENTS = "Commitments"
ADMIN = "AdminUtils"
LOCAL = "Local"

MAX_COMMITMENT_SPACE = 3100
MAX_COMMITMENT_FIELDS = 1

NETUID = StorageKey("Identity", runtime_types.NETUID)
ACCOUNT = StorageKey("Blake2_128Concat", runtime_types.ACCOUNT)
COMMITTER = StorageKey("Twox64Concat", runtime_types.ACCOUNT)


def _system() -> Pallet:
    return Pallet(
        "System",
        0,
        storage=(
            StorageItem("Account", runtime_types.ACCOUNT_INFO, (ACCOUNT,), bytes(56)),
            StorageItem("Number", "u32", default=uint(0, 32)),
            StorageItem("LastRuntimeUpgrade", runtime_types.RUNTIME_UPGRADE),
        ),
        calls=(variant("remark", 0, remark=BYTES),),
        events=(
            variant("ExtrinsicSuccess", 0, dispatch_info=runtime_types.DISPATCH_INFO),
            variant(
                "ExtrinsicFailed",
                1,
                dispatch_error=runtime_types.DISPATCH_ERROR,
                dispatch_info=runtime_types.DISPATCH_INFO,
            ),
        ),
        constants=(Constant("SS58Prefix", "u16", uint(42, 16)),),
    )


def _commitments() -> Pallet:
    return Pallet(
        COMMITMENTS,
        18,
        storage=(
            StorageItem("CommitmentOf", runtime_types.COMMITMENT_RECORD, (NETUID, COMMITTER)),
            StorageItem("LastCommitment", "u32", (NETUID, COMMITTER)),
            StorageItem("RevealedCommitments", runtime_types.REVEALED, (NETUID, COMMITTER)),
            StorageItem("UsedSpaceOf", runtime_types.SPACE_USED, (NETUID, COMMITTER)),
            StorageItem("MaxSpace", "u32", default=uint(MAX_COMMITMENT_SPACE, 32)),
        ),
        calls=(
            variant(
                "set_commitment", 0, netuid=runtime_types.NETUID, info=runtime_types.COMMITMENT
            ),
        ),
        events=(variant("Commitment", 0, netuid=runtime_types.NETUID, who=runtime_types.ACCOUNT),),
        errors=(
            variant("TooManyFieldsInCommitmentInfo", 0),
            variant("AccountNotAllowedCommit", 1),
            variant("SpaceLimitExceeded", 2),
        ),
        constants=(Constant("MaxFields", "u32", uint(MAX_COMMITMENT_FIELDS, 32)),),
    )


def _admin() -> Pallet:
    set_tempo = variant("sudo_set_tempo", 30, netuid=runtime_types.NETUID, tempo="u16")
    return Pallet(ADMIN, 19, calls=(set_tempo,))


def _local() -> Pallet:
    """What only a local chain has: the operator's stand-in for the random beacon."""
    committer = (StorageKey("Identity", "u16"), ACCOUNT)
    return Pallet(
        LOCAL,
        250,
        storage=(
            # The content of a validator's commits, by mechanism's index and hotkey.
            StorageItem("OpenedCommits", runtime_types.OPENED, committer),
            StorageItem("RevealsToFail", "u32", default=uint(0, 32)),
        ),
    )


def pallets(slot_milliseconds: int) -> tuple[Pallet, ...]:
    """All pallets; the time between blocks is a constant in the metadata."""
    slot = Constant("SlotDuration", "u64", uint(slot_milliseconds, 64))
    transfer = variant(
        "transfer_keep_alive", 3, dest=runtime_types.ADDRESS, value=Compact(runtime_types.TAO)
    )
    return (
        _system(),
        Pallet("Timestamp", 2, storage=(StorageItem("Now", "u64", default=uint(0, 64)),)),
        Pallet("Aura", 3, constants=(slot,)),
        Pallet(
            "Balances",
            5,
            calls=(transfer,),
            errors=(variant("InsufficientBalance", 2),),
            constants=(Constant("ExistentialDeposit", runtime_types.TAO, uint(500, 64)),),
        ),
        subtensor(),
        _commitments(),
        _admin(),
        Pallet("MevShield", 30, storage=(StorageItem("NextKey", runtime_types.BOUNDED_BYTES),)),
        _local(),
    )
