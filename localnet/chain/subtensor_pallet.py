"""Subtensor's main pallet: the storage items, calls, events and errors that ComputeHorde uses."""

from localnet.chain import runtime_types
from localnet.chain.metadata import Constant, Pallet, StorageItem, StorageKey
from localnet.chain.scale import uint
from localnet.chain.scale_types import BYTES, ScaleType, Sequence, variant

SUBTENSOR = "SubtensorModule"

DEFAULT_TEMPO = 360
# The bounds of a tempo that the subnet's owner sets, and the blocks between two changes.
MIN_TEMPO = 360
MAX_TEMPO = 50_400
MAX_VALIDATORS = 64
MAX_UIDS = 256

NETUID = StorageKey("Identity", runtime_types.NETUID)
INDEX = StorageKey("Identity", "u16")
ACCOUNT = StorageKey("Blake2_128Concat", runtime_types.ACCOUNT)
EPOCH = StorageKey("Twox64Concat", "u64")

NO = b"\x00"
YES = b"\x01"
EMPTY = b"\x00"


def _per_subnet(name: str, value: ScaleType, default: bytes) -> StorageItem:
    return StorageItem(name, value, (NETUID,), default)


SUBNET_ITEMS = (
    _per_subnet("NetworksAdded", "bool", NO),
    _per_subnet("NetworkRegistrationAllowed", "bool", YES),
    _per_subnet("NetworkRegisteredAt", "u64", uint(0, 64)),
    _per_subnet("SubnetworkN", "u16", uint(0, 16)),
    _per_subnet("SubnetOwner", runtime_types.ACCOUNT, bytes(32)),
    _per_subnet("SubnetOwnerHotkey", runtime_types.ACCOUNT, bytes(32)),
    _per_subnet("TokenSymbol", BYTES, EMPTY),
    _per_subnet("Tempo", "u16", uint(DEFAULT_TEMPO, 16)),
    _per_subnet("LastEpochBlock", "u64", uint(0, 64)),
    _per_subnet("PendingEpochAt", "u64", uint(0, 64)),
    _per_subnet("SubnetEpochIndex", "u64", uint(0, 64)),
    _per_subnet("BlocksSinceLastStep", "u64", uint(0, 64)),
    _per_subnet("ActivityCutoffFactorMilli", "u32", uint(13_889, 32)),
    _per_subnet("SubnetEpochConsensus", runtime_types.EPOCH_CONSENSUS, b"\x00"),
    _per_subnet("Burn", runtime_types.TAO, uint(500_000, 64)),
    _per_subnet("CollateralLockShare", "u16", uint(0, 16)),
    # One unit of alpha released per unit earned.
    _per_subnet("CollateralDrainRatio", runtime_types.RATIO, uint(1 << 64, 128)),
    _per_subnet("MechanismCountCurrent", runtime_types.MECHANISM, uint(1, 8)),
    _per_subnet("ImmunityPeriod", "u16", uint(5000, 16)),
    _per_subnet("ActivityCutoff", "u16", uint(5000, 16)),
    _per_subnet("MaxAllowedUids", "u16", uint(MAX_UIDS, 16)),
    _per_subnet("MaxAllowedValidators", "u16", uint(MAX_VALIDATORS, 16)),
    _per_subnet("ServingRateLimit", "u64", uint(10, 64)),
    _per_subnet("WeightsSetRateLimit", "u64", uint(10, 64)),
    _per_subnet("WeightsVersionKey", "u64", uint(0, 64)),
    _per_subnet("MinAllowedWeights", "u16", uint(1, 16)),
    _per_subnet("MaxWeightsLimit", "u16", uint(65535, 16)),
    _per_subnet("CommitRevealWeightsEnabled", "bool", NO),
    _per_subnet("RevealPeriodEpochs", "u64", uint(1, 64)),
    _per_subnet("ValidatorPermit", Sequence("bool"), EMPTY),
    StorageItem("LastUpdate", Sequence("u64"), (INDEX,), EMPTY),
    StorageItem("MaxEpochsPerBlock", "u8", default=uint(2, 8)),
    # In blocks: how long before an epoch its owner may not change the subnet.
    StorageItem("AdminFreezeWindow", "u16", default=uint(10, 16)),
    # In tempos: the time between two changes of the same hyperparameter by the owner.
    StorageItem("OwnerHyperparamRateLimit", "u16", default=uint(2, 16)),
    # The block of an account's last call of a kind; the last key is the kind's number.
    StorageItem("TransactionKeyLastBlock", "u64", (ACCOUNT, NETUID, INDEX), uint(0, 64)),
    StorageItem("StakeThreshold", "u64", default=uint(0, 64)),
    StorageItem("CommitRevealWeightsVersion", "u16", default=uint(4, 16)),
)
NEURON_ITEMS = (
    StorageItem("Uids", "u16", (NETUID, ACCOUNT)),
    StorageItem("Keys", runtime_types.ACCOUNT, (NETUID, INDEX), bytes(32)),
    StorageItem("Owner", runtime_types.ACCOUNT, (ACCOUNT,), bytes(32)),
    StorageItem("IsNetworkMember", "bool", (ACCOUNT, NETUID), NO),
    StorageItem("BlockAtRegistration", "u64", (NETUID, INDEX), uint(0, 64)),
    StorageItem("TotalHotkeyAlpha", runtime_types.ALPHA, (ACCOUNT, NETUID), uint(0, 64)),
    StorageItem("Axons", runtime_types.AXON, (NETUID, ACCOUNT)),
    StorageItem("Weights", runtime_types.WEIGHT_ROW, (INDEX, INDEX), EMPTY),
    StorageItem("MinerCollateral", runtime_types.COLLATERAL, (NETUID, ACCOUNT, ACCOUNT)),
    # The key that replaced a hotkey on this subnet, and the first key of a line of replacements.
    StorageItem("HotkeySuccessor", runtime_types.ACCOUNT, (NETUID, ACCOUNT)),
    StorageItem("HotkeyRoot", runtime_types.ACCOUNT, (NETUID, ACCOUNT)),
    StorageItem("ColdkeyRoot", runtime_types.ACCOUNT, (ACCOUNT,)),
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
        "add_collateral",
        141,
        netuid=runtime_types.NETUID,
        hotkey=runtime_types.ACCOUNT,
        alpha=runtime_types.ALPHA,
        limit_price=runtime_types.TAO,
    ),
    variant(
        "set_min_collateral",
        142,
        netuid=runtime_types.NETUID,
        hotkey=runtime_types.ACCOUNT,
        min_locked=runtime_types.ALPHA,
    ),
    variant("trigger_epoch", 140, netuid=runtime_types.NETUID),
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
    variant("TempoSet", 13, runtime_types.NETUID, "u16"),
    variant(
        "TimelockedWeightsCommitted", 80, runtime_types.ACCOUNT, "u16", runtime_types.HASH, "u64"
    ),
    variant("TimelockedWeightsRevealed", 81, "u16", runtime_types.ACCOUNT),
    # The round in which the commit should have been revealed is the last field.
    variant("TimelockRevealFailed", 122, "u16", runtime_types.ACCOUNT, "u64"),
    variant(
        "CollateralLocked",
        123,
        netuid=runtime_types.NETUID,
        hotkey=runtime_types.ACCOUNT,
        alpha=runtime_types.ALPHA,
    ),
    variant(
        "EpochTriggered", 120, netuid=runtime_types.NETUID, by=runtime_types.ACCOUNT, fires_at="u64"
    ),
    variant("EpochDeferred", 121, netuid=runtime_types.NETUID, from_block="u64", to_block="u64"),
)
SUBTENSOR_ERRORS = (
    variant("InvalidIpType", 1),
    variant("InvalidIpAddress", 2),
    variant("InvalidPort", 3),
    variant("HotKeyNotRegisteredInSubNet", 4),
    variant("HotKeyNotRegisteredInNetwork", 6),
    variant("NonAssociatedColdKey", 7),
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
    variant("TxRateLimitExceeded", 64),
    variant("MechanismDoesNotExist", 74),
    variant("SubnetNotExists", 76),
    variant("TooManyUnrevealedCommits", 77),
    variant("CommittingWeightsTooFast", 81),
    variant("AmountTooLow", 82),
    variant("AdminActionProhibitedDuringWeightsWindow", 108),
    variant("IncorrectCommitRevealVersion", 111),
    variant("TempoOutOfBounds", 144),
    variant("EpochTriggerAlreadyPending", 146),
    variant("AutoEpochAlreadyImminent", 147),
    variant("CommitPayloadTooLarge", 173),
)


def subtensor() -> Pallet:
    """The pallet `SubtensorModule`."""
    return Pallet(
        SUBTENSOR,
        7,
        SUBNET_ITEMS + NEURON_ITEMS,
        SUBTENSOR_CALLS,
        SUBTENSOR_EVENTS,
        SUBTENSOR_ERRORS,
        (
            Constant("MinTempo", "u16", uint(MIN_TEMPO, 16)),
            Constant("MaxTempo", "u16", uint(MAX_TEMPO, 16)),
        ),
    )
