"""The types of the local runtime, with the paths and fields that subtensor gives them."""

from localnet.chain.scale_types import (
    BYTES,
    UNIT,
    Array,
    Compact,
    Enum,
    ScaleType,
    Sequence,
    Tuple,
    Variant,
    option,
    struct,
    variant,
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
        variant("Id", 0, ACCOUNT),
        variant("Index", 1, Compact("u32")),
        variant("Raw", 2, BYTES),
        variant("Address32", 3, Array("u8", 32)),
        variant("Address20", 4, Array("u8", 20)),
    ),
)
SIGNATURE = Enum(
    ("sp_runtime", "MultiSignature"),
    (
        variant("Ed25519", 0, Array("u8", 64)),
        variant("Sr25519", 1, Array("u8", 64)),
        variant("Ecdsa", 2, Array("u8", 65)),
    ),
)
ERA = Enum(
    ("sp_runtime", "generic", "era", "Era"),
    (Variant("Immortal", 0), *(variant(f"Mortal{first}", first, "u8") for first in range(1, 256))),
)
METADATA_MODE = Enum(
    ("frame_metadata_hash_extension", "Mode"), (Variant("Disabled", 0), Variant("Enabled", 1))
)

WEIGHT = struct("sp_weights::weight_v2::Weight", ref_time=Compact("u64"), proof_size=Compact("u64"))
DISPATCH_CLASS = Enum(
    ("frame_support", "dispatch", "DispatchClass"),
    (Variant("Normal", 0), Variant("Operational", 1), Variant("Mandatory", 2)),
)
PAYS = Enum(("frame_support", "dispatch", "Pays"), (Variant("Yes", 0), Variant("No", 1)))
DISPATCH_INFO = struct(
    "frame_system::DispatchEventInfo", weight=WEIGHT, **{"class": DISPATCH_CLASS}, pays_fee=PAYS
)
MODULE_ERROR = struct("sp_runtime::ModuleError", index="u8", error=Array("u8", 4))
DISPATCH_ERROR = Enum(
    ("sp_runtime", "DispatchError"),
    (
        Variant("Other", 0),
        Variant("CannotLookup", 1),
        Variant("BadOrigin", 2),
        variant("Module", 3, MODULE_ERROR),
    ),
)
FEE_INFO = struct(
    "pallet_transaction_payment::types::RuntimeDispatchInfo",
    weight=WEIGHT,
    **{"class": DISPATCH_CLASS},
    partial_fee=TAO,
)
RUNTIME_UPGRADE = struct(
    "frame_system::LastRuntimeUpgradeInfo", spec_version=Compact("u32"), spec_name="str"
)
PHASE = Enum(
    ("frame_system", "Phase"),
    (variant("ApplyExtrinsic", 0, "u32"), Variant("Finalization", 1), Variant("Initialization", 2)),
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
    ("pallet_subtensor", "subnet", "EpochConsensus"), (Variant("Yuma", 0), Variant("Null", 1))
)
RATIO = struct("substrate_fixed::FixedU128", bits="u128")
COLLATERAL = struct(
    "pallet_subtensor::pallet::MinerCollateralState",
    locked=ALPHA,
    drain_ratio=RATIO,
    min_locked=ALPHA,
    earned=ALPHA,
)
COMMITS = Sequence(Tuple((ACCOUNT, "u64", BOUNDED_BYTES, "u64")))
WEIGHT_ROW = Sequence(Tuple(("u16", "u16")))
OPENED = struct("local::OpenedCommit", row=WEIGHT_ROW, version_key="u64")

COMMITMENT_DATA = Enum(
    ("pallet_commitments", "types", "Data"),
    (
        Variant("None", 0),
        *(variant(f"Raw{size}", size + 1, Array("u8", size)) for size in range(RAW_LIMIT + 1)),
        variant("BlakeTwo256", 130, Array("u8", 32)),
        variant("Sha256", 131, Array("u8", 32)),
        variant("Keccak256", 132, Array("u8", 32)),
        variant("ShaThree256", 133, Array("u8", 32)),
        variant("TimelockEncrypted", 134, encrypted=BOUNDED_BYTES, reveal_round="u64"),
    ),
)
COMMITMENT = struct("pallet_commitments::types::CommitmentInfo", fields=Sequence(COMMITMENT_DATA))
COMMITMENT_RECORD = struct(
    "pallet_commitments::types::Registration", deposit=TAO, block="u32", info=COMMITMENT
)
SPACE_USED = struct("pallet_commitments::types::UsageTracker", last_epoch="u64", used_space="u64")
REVEALED = Sequence(Tuple((BYTES, "u64")))

FIXED = struct("substrate_fixed::FixedI128", bits="i128")


def _columns(*names: str, of: ScaleType) -> dict[str, ScaleType]:
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
    **_columns("collateral_locked", "collateral_min", "collateral_earned", of=Compact(ALPHA)),
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
        variant("Bool", 0, "bool"),
        variant("U16", 1, Compact("u16")),
        variant("U64", 2, Compact("u64")),
        variant("U32", 3, Compact("u32")),
    ),
)
HYPERPARAMETER = struct(
    "pallet_subtensor::rpc_info::subnet_info::HyperparamEntry",
    name=BYTES,
    value=HYPERPARAMETER_VALUE,
)
