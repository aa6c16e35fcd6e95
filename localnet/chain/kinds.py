"""The types our runtime speaks of, named as the network's runtime names them."""

from localnet.chain.shapes import (
    BYTES,
    UNIT,
    Array,
    Case,
    Compact,
    Enum,
    Sequence,
    Shape,
    Tuple,
    case,
    option,
    struct,
    wrapper,
)

RAW_LIMIT = 128

ACCOUNT = wrapper("sp_core::crypto::AccountId32", Array("u8", 32))
HASH = wrapper("primitive_types::H256", Array("u8", 32))
NETUID = wrapper("subtensor_runtime_common::NetUid", "u16")
MECHANISM = wrapper("subtensor_runtime_common::MechId", "u8")
TAO = wrapper("subtensor_runtime_common::currency::TaoBalance", "u64")
ALPHA = wrapper("subtensor_runtime_common::currency::AlphaBalance", "u64")
BOUNDED_BYTES = wrapper("bounded_collections::bounded_vec::BoundedVec", BYTES)

ADDRESS = Enum(
    ("sp_runtime", "multiaddress", "MultiAddress"),
    (
        case("Id", 0, ACCOUNT),
        case("Index", 1, Compact("u32")),
        case("Raw", 2, BYTES),
        case("Address32", 3, Array("u8", 32)),
        case("Address20", 4, Array("u8", 20)),
    ),
)
SIGNATURE = Enum(
    ("sp_runtime", "MultiSignature"),
    (
        case("Ed25519", 0, Array("u8", 64)),
        case("Sr25519", 1, Array("u8", 64)),
        case("Ecdsa", 2, Array("u8", 65)),
    ),
)
ERA = Enum(
    ("sp_runtime", "generic", "era", "Era"),
    (Case("Immortal", 0), *(case(f"Mortal{first}", first, "u8") for first in range(1, 256))),
)
METADATA_MODE = Enum(
    ("frame_metadata_hash_extension", "Mode"), (Case("Disabled", 0), Case("Enabled", 1))
)

WEIGHT = struct("sp_weights::weight_v2::Weight", ref_time=Compact("u64"), proof_size=Compact("u64"))
DISPATCH_CLASS = Enum(
    ("frame_support", "dispatch", "DispatchClass"),
    (Case("Normal", 0), Case("Operational", 1), Case("Mandatory", 2)),
)
PAYS = Enum(("frame_support", "dispatch", "Pays"), (Case("Yes", 0), Case("No", 1)))
DISPATCH_INFO = struct(
    "frame_system::DispatchEventInfo", weight=WEIGHT, **{"class": DISPATCH_CLASS}, pays_fee=PAYS
)
MODULE_ERROR = struct("sp_runtime::ModuleError", index="u8", error=Array("u8", 4))
DISPATCH_ERROR = Enum(
    ("sp_runtime", "DispatchError"),
    (
        Case("Other", 0),
        Case("CannotLookup", 1),
        Case("BadOrigin", 2),
        case("Module", 3, MODULE_ERROR),
    ),
)
FEE_INFO = struct(
    "pallet_transaction_payment::types::RuntimeDispatchInfo",
    weight=WEIGHT,
    **{"class": DISPATCH_CLASS},
    partial_fee=TAO,
)
PHASE = Enum(
    ("frame_system", "Phase"),
    (case("ApplyExtrinsic", 0, "u32"), Case("Finalization", 1), Case("Initialization", 2)),
)
BALANCE = struct(
    "pallet_balances::types::AccountData", free=TAO, reserved=TAO, frozen=TAO, flags="u128"
)
ACCOUNT_INFO = struct(
    "frame_system::AccountInfo",
    nonce="u32",
    consumers="u32",
    providers="u32",
    sufficients="u32",
    data=BALANCE,
)

AXON = struct(
    "pallet_subtensor::pallet::AxonInfo",
    block="u64",
    version="u32",
    ip="u128",
    port="u16",
    ip_type="u8",
    protocol="u8",
    placeholder1="u8",
    placeholder2="u8",
)
PROMETHEUS = struct(
    "pallet_subtensor::pallet::PrometheusInfo",
    block="u64",
    version="u32",
    ip="u128",
    port="u16",
    ip_type="u8",
)
EPOCH_CONSENSUS = Enum(
    ("pallet_subtensor", "subnet", "EpochConsensus"), (Case("Yuma", 0), Case("Null", 1))
)
COMMITS = Sequence(Tuple((ACCOUNT, "u64", BOUNDED_BYTES, "u64")))
WEIGHT_ROW = Sequence(Tuple(("u16", "u16")))

COMMITMENT_DATA = Enum(
    ("pallet_commitments", "types", "Data"),
    (
        Case("None", 0),
        *(case(f"Raw{size}", size + 1, Array("u8", size)) for size in range(RAW_LIMIT + 1)),
        case("BlakeTwo256", 130, Array("u8", 32)),
        case("Sha256", 131, Array("u8", 32)),
        case("Keccak256", 132, Array("u8", 32)),
        case("ShaThree256", 133, Array("u8", 32)),
        case("TimelockEncrypted", 134, encrypted=BOUNDED_BYTES, reveal_round="u64"),
    ),
)
COMMITMENT = struct("pallet_commitments::types::CommitmentInfo", fields=Sequence(COMMITMENT_DATA))
COMMITMENT_RECORD = struct(
    "pallet_commitments::types::Registration", deposit=TAO, block="u32", info=COMMITMENT
)
SPACE_USED = struct("pallet_commitments::types::UsageTracker", last_epoch="u64", used_space="u64")
REVEALED = Sequence(Tuple((BYTES, "u64")))

FIXED = struct("substrate_fixed::FixedI128", bits="i128")


def _columns(*names: str, of: Shape) -> dict[str, Shape]:
    return {name: Sequence(of) for name in names}


METAGRAPH = struct(
    "pallet_subtensor::rpc_info::metagraph::Metagraph",
    netuid=Compact(NETUID),
    name=Sequence(Compact("u8")),
    symbol=Sequence(Compact("u8")),
    identity=option(UNIT),
    network_registered_at=Compact("u64"),
    owner_hotkey=ACCOUNT,
    owner_coldkey=ACCOUNT,
    block=Compact("u64"),
    tempo=Compact("u16"),
    last_step=Compact("u64"),
    blocks_since_last_step=Compact("u64"),
    alpha_in=Compact(ALPHA),
    tao_in=Compact(TAO),
    moving_price=FIXED,
    num_uids=Compact("u16"),
    max_uids=Compact("u16"),
    **_columns("hotkeys", "coldkeys", of=ACCOUNT),
    identities=Sequence(option(UNIT)),
    axons=Sequence(AXON),
    **_columns("active", "validator_permit", of="bool"),
    pruning_score=Sequence(Compact("u16")),
    last_update=Sequence(Compact("u64")),
    emission=Sequence(Compact(ALPHA)),
    **_columns("dividends", "incentives", "consensus", "trust", "rank", of=Compact("u16")),
    block_at_registration=Sequence(Compact("u64")),
    alpha_stake=Sequence(Compact(ALPHA)),
    tao_stake=Sequence(Compact(TAO)),
    total_stake=Sequence(Compact(ALPHA)),
)
NEURON = struct(
    "pallet_subtensor::rpc_info::neuron_info::NeuronInfoLite",
    hotkey=ACCOUNT,
    coldkey=ACCOUNT,
    uid=Compact("u16"),
    netuid=Compact(NETUID),
    active="bool",
    axon_info=AXON,
    prometheus_info=PROMETHEUS,
    stake=Sequence(Tuple((ACCOUNT, Compact(ALPHA)))),
    rank=Compact("u16"),
    emission=Compact("u64"),
    incentive=Compact("u16"),
    consensus=Compact("u16"),
    trust=Compact("u16"),
    validator_trust=Compact("u16"),
    dividends=Compact("u16"),
    last_update=Compact("u64"),
    validator_permit="bool",
    pruning_score=Compact("u16"),
)
HYPERPARAMETER_VALUE = Enum(
    ("pallet_subtensor", "rpc_info", "subnet_info", "HyperparamValue"),
    (
        case("Bool", 0, "bool"),
        case("U16", 1, Compact("u16")),
        case("U64", 2, Compact("u64")),
    ),
)
HYPERPARAMETER = struct(
    "pallet_subtensor::rpc_info::subnet_info::HyperparamEntry",
    name=BYTES,
    value=HYPERPARAMETER_VALUE,
)
