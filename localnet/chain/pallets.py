"""The pallets of our runtime: what the network's own runtime has, cut down to what we use."""

from localnet.chain import kinds
from localnet.chain.metadata import Constant, Item, Key, Pallet
from localnet.chain.shapes import BYTES, Compact, Sequence, Shape, case

SUBTENSOR = "SubtensorModule"
COMMITMENTS = "Commitments"

DEFAULT_TEMPO = 360
MAX_VALIDATORS = 64
MAX_UIDS = 256
MAX_COMMITMENT_SPACE = 3100
MAX_COMMITMENT_FIELDS = 1

NETUID = Key("Identity", kinds.NETUID)
INDEX = Key("Identity", "u16")
ACCOUNT = Key("Blake2_128Concat", kinds.ACCOUNT)
EPOCH = Key("Twox64Concat", "u64")
COMMITTER = Key("Twox64Concat", kinds.ACCOUNT)

NO = b"\x00"
YES = b"\x01"
EMPTY = b"\x00"


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _per_subnet(name: str, value: Shape, default: bytes) -> Item:
    return Item(name, value, (NETUID,), default)


def _system() -> Pallet:
    return Pallet(
        "System",
        0,
        storage=(
            Item("Account", kinds.ACCOUNT_INFO, (ACCOUNT,), bytes(56)),
            Item("Number", "u32", default=_u32(0)),
        ),
        calls=(case("remark", 0, remark=BYTES),),
        events=(
            case("ExtrinsicSuccess", 0, dispatch_info=kinds.DISPATCH_INFO),
            case(
                "ExtrinsicFailed",
                1,
                dispatch_error=kinds.DISPATCH_ERROR,
                dispatch_info=kinds.DISPATCH_INFO,
            ),
        ),
        constants=(Constant("SS58Prefix", "u16", _u16(42)),),
    )


SUBNET_ITEMS = (
    _per_subnet("NetworksAdded", "bool", NO),
    _per_subnet("NetworkRegistrationAllowed", "bool", YES),
    _per_subnet("NetworkRegisteredAt", "u64", _u64(0)),
    _per_subnet("SubnetworkN", "u16", _u16(0)),
    _per_subnet("SubnetOwner", kinds.ACCOUNT, bytes(32)),
    _per_subnet("SubnetOwnerHotkey", kinds.ACCOUNT, bytes(32)),
    _per_subnet("TokenSymbol", BYTES, EMPTY),
    _per_subnet("Tempo", "u16", _u16(DEFAULT_TEMPO)),
    _per_subnet("LastEpochBlock", "u64", _u64(0)),
    _per_subnet("PendingEpochAt", "u64", _u64(0)),
    _per_subnet("SubnetEpochIndex", "u64", _u64(0)),
    _per_subnet("BlocksSinceLastStep", "u64", _u64(0)),
    _per_subnet("SubnetEpochConsensus", kinds.EPOCH_CONSENSUS, b"\x00"),
    _per_subnet("Burn", kinds.TAO, _u64(500_000)),
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
    Item("LastUpdate", Sequence("u64"), (INDEX,), EMPTY),
    Item("StakeThreshold", "u64", default=_u64(0)),
    Item("CommitRevealWeightsVersion", "u16", default=_u16(4)),
)
NEURON_ITEMS = (
    Item("Uids", "u16", (NETUID, ACCOUNT)),
    Item("Keys", kinds.ACCOUNT, (NETUID, INDEX), bytes(32)),
    Item("Owner", kinds.ACCOUNT, (ACCOUNT,), bytes(32)),
    Item("IsNetworkMember", "bool", (ACCOUNT, NETUID), NO),
    Item("BlockAtRegistration", "u64", (NETUID, INDEX), _u64(0)),
    Item("TotalHotkeyAlpha", kinds.ALPHA, (ACCOUNT, NETUID), _u64(0)),
    Item("Axons", kinds.AXON, (NETUID, ACCOUNT)),
    Item("Weights", kinds.WEIGHT_ROW, (INDEX, INDEX), EMPTY),
    Item("TimelockedWeightCommits", kinds.COMMITS, (INDEX, EPOCH), EMPTY),
)
SUBTENSOR_CALLS = (
    case(
        "set_weights",
        0,
        netuid=kinds.NETUID,
        dests=Sequence("u16"),
        weights=Sequence("u16"),
        version_key="u64",
    ),
    case(
        "serve_axon",
        4,
        netuid=kinds.NETUID,
        version="u32",
        ip="u128",
        port="u16",
        ip_type="u8",
        protocol="u8",
        placeholder1="u8",
        placeholder2="u8",
    ),
    case("burned_register", 7, netuid=kinds.NETUID, hotkey=kinds.ACCOUNT),
    case(
        "commit_timelocked_weights",
        113,
        netuid=kinds.NETUID,
        commit=kinds.BOUNDED_BYTES,
        reveal_round="u64",
        commit_reveal_version="u16",
    ),
    case(
        "commit_timelocked_mechanism_weights",
        118,
        netuid=kinds.NETUID,
        mecid=kinds.MECHANISM,
        commit=kinds.BOUNDED_BYTES,
        reveal_round="u64",
        commit_reveal_version="u16",
    ),
    case(
        "set_mechanism_weights",
        119,
        netuid=kinds.NETUID,
        mecid=kinds.MECHANISM,
        dests=Sequence("u16"),
        weights=Sequence("u16"),
        version_key="u64",
    ),
)
SUBTENSOR_EVENTS = (
    case("WeightsSet", 5, "u16", "u16"),
    case("NeuronRegistered", 6, kinds.NETUID, "u16", kinds.ACCOUNT),
    case("AxonServed", 24, kinds.NETUID, kinds.ACCOUNT),
    case("TimelockedWeightsCommitted", 80, kinds.ACCOUNT, "u16", kinds.HASH, "u64"),
)
SUBTENSOR_ERRORS = (
    case("InvalidIpType", 1),
    case("InvalidIpAddress", 2),
    case("InvalidPort", 3),
    case("HotKeyNotRegisteredInSubNet", 4),
    case("HotKeyNotRegisteredInNetwork", 6),
    case("NotEnoughStakeToSetWeights", 10),
    case("NotEnoughBalanceToStake", 12),
    case("NeuronNoValidatorPermit", 15),
    case("WeightVecNotEqualSize", 16),
    case("DuplicateUids", 17),
    case("UidVecContainInvalidOne", 18),
    case("WeightVecLengthIsLow", 19),
    case("HotKeyAlreadyRegisteredInSubNet", 21),
    case("MaxWeightExceeded", 27),
    case("SettingWeightsTooFast", 29),
    case("IncorrectWeightVersionKey", 30),
    case("ServingRateLimitExceeded", 31),
    case("UidsLengthExceedUidsInSubNet", 32),
    case("SubNetRegistrationDisabled", 37),
    case("NoNeuronIdAvailable", 48),
    case("CommitRevealEnabled", 53),
    case("CommitRevealDisabled", 54),
    case("MechanismDoesNotExist", 74),
    case("SubnetNotExists", 76),
    case("TooManyUnrevealedCommits", 77),
    case("CommittingWeightsTooFast", 81),
    case("IncorrectCommitRevealVersion", 111),
    case("CommitPayloadTooLarge", 173),
)


def _commitments() -> Pallet:
    return Pallet(
        COMMITMENTS,
        18,
        storage=(
            Item("CommitmentOf", kinds.COMMITMENT_RECORD, (NETUID, COMMITTER)),
            Item("LastCommitment", "u32", (NETUID, COMMITTER)),
            Item("RevealedCommitments", kinds.REVEALED, (NETUID, COMMITTER)),
            Item("UsedSpaceOf", kinds.SPACE_USED, (NETUID, COMMITTER)),
            Item("MaxSpace", "u32", default=_u32(MAX_COMMITMENT_SPACE)),
        ),
        calls=(case("set_commitment", 0, netuid=kinds.NETUID, info=kinds.COMMITMENT),),
        events=(case("Commitment", 0, netuid=kinds.NETUID, who=kinds.ACCOUNT),),
        errors=(
            case("TooManyFieldsInCommitmentInfo", 0),
            case("AccountNotAllowedCommit", 1),
            case("SpaceLimitExceeded", 2),
        ),
        constants=(Constant("MaxFields", "u32", _u32(MAX_COMMITMENT_FIELDS)),),
    )


def pallets(slot_milliseconds: int) -> tuple[Pallet, ...]:
    """All pallets; the time between blocks is a constant of the runtime."""
    slot = Constant("SlotDuration", "u64", _u64(slot_milliseconds))
    transfer = case("transfer_keep_alive", 3, dest=kinds.ADDRESS, value=Compact(kinds.TAO))
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
        Pallet("Timestamp", 2, storage=(Item("Now", "u64", default=_u64(0)),)),
        Pallet("Aura", 3, constants=(slot,)),
        Pallet(
            "Balances",
            5,
            calls=(transfer,),
            errors=(case("InsufficientBalance", 2),),
            constants=(Constant("ExistentialDeposit", kinds.TAO, _u64(500)),),
        ),
        subtensor,
        _commitments(),
        Pallet("MevShield", 30, storage=(Item("NextKey", kinds.BOUNDED_BYTES),)),
    )
