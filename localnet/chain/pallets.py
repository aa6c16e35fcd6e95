"""The pallets of the local runtime: the part of subtensor's that ComputeHorde uses."""

from localnet.chain import runtime_types
from localnet.chain.metadata import Constant, Pallet, StorageItem, StorageKey
from localnet.chain.scale_types import BYTES, Compact, ScaleType, Sequence, variant

SUBTENSOR = "SubtensorModule"
COMMITMENTS = "Commitments"

DEFAULT_TEMPO = 360
MAX_VALIDATORS = 64
MAX_UIDS = 256
MAX_COMMITMENT_SPACE = 3100
MAX_COMMITMENT_FIELDS = 1

NETUID = StorageKey("Identity", runtime_types.NETUID)
INDEX = StorageKey("Identity", "u16")
ACCOUNT = StorageKey("Blake2_128Concat", runtime_types.ACCOUNT)
EPOCH = StorageKey("Twox64Concat", "u64")
COMMITTER = StorageKey("Twox64Concat", runtime_types.ACCOUNT)

NO = b"\x00"
YES = b"\x01"
EMPTY = b"\x00"


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _per_subnet(name: str, value: ScaleType, default: bytes) -> StorageItem:
    return StorageItem(name, value, (NETUID,), default)


def _system() -> Pallet:
    return Pallet(
        "System",
        0,
        storage=(
            StorageItem("Account", runtime_types.ACCOUNT_INFO, (ACCOUNT,), bytes(56)),
            StorageItem("Number", "u32", default=_u32(0)),
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
        constants=(Constant("SS58Prefix", "u16", _u16(42)),),
    )


SUBNET_ITEMS = (
    _per_subnet("NetworksAdded", "bool", NO),
    _per_subnet("NetworkRegistrationAllowed", "bool", YES),
    _per_subnet("NetworkRegisteredAt", "u64", _u64(0)),
    _per_subnet("SubnetworkN", "u16", _u16(0)),
    _per_subnet("SubnetOwner", runtime_types.ACCOUNT, bytes(32)),
    _per_subnet("SubnetOwnerHotkey", runtime_types.ACCOUNT, bytes(32)),
    _per_subnet("TokenSymbol", BYTES, EMPTY),
    _per_subnet("Tempo", "u16", _u16(DEFAULT_TEMPO)),
    _per_subnet("LastEpochBlock", "u64", _u64(0)),
    _per_subnet("PendingEpochAt", "u64", _u64(0)),
    _per_subnet("SubnetEpochIndex", "u64", _u64(0)),
    _per_subnet("BlocksSinceLastStep", "u64", _u64(0)),
    _per_subnet("SubnetEpochConsensus", runtime_types.EPOCH_CONSENSUS, b"\x00"),
    _per_subnet("Burn", runtime_types.TAO, _u64(500_000)),
    _per_subnet("CollateralLockShare", "u16", _u16(0)),
    _per_subnet("ImmunityPeriod", "u16", _u16(5000)),
    _per_subnet("ActivityCutoff", "u16", _u16(5000)),
    _per_subnet("MaxAllowedUids", "u16", _u16(MAX_UIDS)),
    _per_subnet("MaxAllowedValidators", "u16", _u16(MAX_VALIDATORS)),
    _per_subnet("ServingRateLimit", "u64", _u64(10)),
    _per_subnet("WeightsSetRateLimit", "u64", _u64(10)),
    _per_subnet("WeightsVersionKey", "u64", _u64(0)),
    _per_subnet("MinAllowedWeights", "u16", _u16(1)),
    _per_subnet("MaxWeightsLimit", "u16", _u16(65535)),
    _per_subnet("CommitRevealWeightsEnabled", "bool", NO),
    _per_subnet("RevealPeriodEpochs", "u64", _u64(1)),
    _per_subnet("ValidatorPermit", Sequence("bool"), EMPTY),
    StorageItem("LastUpdate", Sequence("u64"), (INDEX,), EMPTY),
    StorageItem("StakeThreshold", "u64", default=_u64(0)),
    StorageItem("CommitRevealWeightsVersion", "u16", default=_u16(4)),
)
NEURON_ITEMS = (
    StorageItem("Uids", "u16", (NETUID, ACCOUNT)),
    StorageItem("Keys", runtime_types.ACCOUNT, (NETUID, INDEX), bytes(32)),
    StorageItem("Owner", runtime_types.ACCOUNT, (ACCOUNT,), bytes(32)),
    StorageItem("IsNetworkMember", "bool", (ACCOUNT, NETUID), NO),
    StorageItem("BlockAtRegistration", "u64", (NETUID, INDEX), _u64(0)),
    StorageItem("TotalHotkeyAlpha", runtime_types.ALPHA, (ACCOUNT, NETUID), _u64(0)),
    StorageItem("Axons", runtime_types.AXON, (NETUID, ACCOUNT)),
    StorageItem("Weights", runtime_types.WEIGHT_ROW, (INDEX, INDEX), EMPTY),
    StorageItem("TimelockedWeightCommits", runtime_types.COMMITS, (INDEX, EPOCH), EMPTY),
)
SUBTENSOR_CALLS = (
    variant(
        "set_weights",
        0,
        netuid=runtime_types.NETUID,
        dests=Sequence("u16"),
        weights=Sequence("u16"),
        version_key="u64",
    ),
    variant(
        "serve_axon",
        4,
        netuid=runtime_types.NETUID,
        version="u32",
        ip="u128",
        port="u16",
        ip_type="u8",
        protocol="u8",
        placeholder1="u8",
        placeholder2="u8",
    ),
    variant("burned_register", 7, netuid=runtime_types.NETUID, hotkey=runtime_types.ACCOUNT),
    variant(
        "commit_timelocked_weights",
        113,
        netuid=runtime_types.NETUID,
        commit=runtime_types.BOUNDED_BYTES,
        reveal_round="u64",
        commit_reveal_version="u16",
    ),
    variant(
        "commit_timelocked_mechanism_weights",
        118,
        netuid=runtime_types.NETUID,
        mecid=runtime_types.MECHANISM,
        commit=runtime_types.BOUNDED_BYTES,
        reveal_round="u64",
        commit_reveal_version="u16",
    ),
    variant(
        "set_mechanism_weights",
        119,
        netuid=runtime_types.NETUID,
        mecid=runtime_types.MECHANISM,
        dests=Sequence("u16"),
        weights=Sequence("u16"),
        version_key="u64",
    ),
)
SUBTENSOR_EVENTS = (
    variant("WeightsSet", 5, "u16", "u16"),
    variant("NeuronRegistered", 6, runtime_types.NETUID, "u16", runtime_types.ACCOUNT),
    variant("AxonServed", 24, runtime_types.NETUID, runtime_types.ACCOUNT),
    variant(
        "TimelockedWeightsCommitted", 80, runtime_types.ACCOUNT, "u16", runtime_types.HASH, "u64"
    ),
)
SUBTENSOR_ERRORS = (
    variant("InvalidIpType", 1),
    variant("InvalidIpAddress", 2),
    variant("InvalidPort", 3),
    variant("HotKeyNotRegisteredInSubNet", 4),
    variant("HotKeyNotRegisteredInNetwork", 6),
    variant("NotEnoughStakeToSetWeights", 10),
    variant("NotEnoughBalanceToStake", 12),
    variant("NeuronNoValidatorPermit", 15),
    variant("WeightVecNotEqualSize", 16),
    variant("DuplicateUids", 17),
    variant("UidVecContainInvalidOne", 18),
    variant("WeightVecLengthIsLow", 19),
    variant("HotKeyAlreadyRegisteredInSubNet", 21),
    variant("MaxWeightExceeded", 27),
    variant("SettingWeightsTooFast", 29),
    variant("IncorrectWeightVersionKey", 30),
    variant("ServingRateLimitExceeded", 31),
    variant("UidsLengthExceedUidsInSubNet", 32),
    variant("SubNetRegistrationDisabled", 37),
    variant("NoNeuronIdAvailable", 48),
    variant("CommitRevealEnabled", 53),
    variant("CommitRevealDisabled", 54),
    variant("MechanismDoesNotExist", 74),
    variant("SubnetNotExists", 76),
    variant("TooManyUnrevealedCommits", 77),
    variant("CommittingWeightsTooFast", 81),
    variant("IncorrectCommitRevealVersion", 111),
    variant("CommitPayloadTooLarge", 173),
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
            StorageItem("MaxSpace", "u32", default=_u32(MAX_COMMITMENT_SPACE)),
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
        constants=(Constant("MaxFields", "u32", _u32(MAX_COMMITMENT_FIELDS)),),
    )


def pallets(slot_milliseconds: int) -> tuple[Pallet, ...]:
    """All pallets; the time between blocks is a constant in the metadata."""
    slot = Constant("SlotDuration", "u64", _u64(slot_milliseconds))
    transfer = variant(
        "transfer_keep_alive", 3, dest=runtime_types.ADDRESS, value=Compact(runtime_types.TAO)
    )
    subtensor = Pallet(
        SUBTENSOR,
        7,
        SUBNET_ITEMS + NEURON_ITEMS,
        SUBTENSOR_CALLS,
        SUBTENSOR_EVENTS,
        SUBTENSOR_ERRORS,
    )
    return (
        _system(),
        Pallet("Timestamp", 2, storage=(StorageItem("Now", "u64", default=_u64(0)),)),
        Pallet("Aura", 3, constants=(slot,)),
        Pallet(
            "Balances",
            5,
            calls=(transfer,),
            errors=(variant("InsufficientBalance", 2),),
            constants=(Constant("ExistentialDeposit", runtime_types.TAO, _u64(500)),),
        ),
        subtensor,
        _commitments(),
        Pallet("MevShield", 30, storage=(StorageItem("NextKey", runtime_types.BOUNDED_BYTES),)),
    )
