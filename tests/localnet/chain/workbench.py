"""A chain in the test's process, with helpers that sign extrinsics."""

from typing import Any

from bittensor_core import Keypair

from localnet.chain import subnet
from localnet.chain.blocks import Blocks
from localnet.chain.journal import Block, Journal
from localnet.chain.node import Node, Status
from localnet.chain.runtime import LocalRuntime
from localnet.chain.storage import Storage
from localnet.chain.subtensor_pallet import SUBTENSOR

NETUID = 12
TEMPO = 10
TAO = 10**9
IMMORTAL = "00"
OWNER = Keypair.create_from_uri("//owner").ss58_address


def key(name: str) -> Keypair:
    return Keypair.create_from_uri(f"//{name}")


class RecordingListener:
    """A listener that records its notifications."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.statuses: list[tuple[bytes, Status]] = []

    def on_block(self, block: Block) -> None:
        self.blocks.append(block.number)

    def on_status(self, extrinsic_hash: bytes, status: Status) -> None:
        self.statuses.append((extrinsic_hash, status))


class Workbench:
    """A node, in memory by default."""

    def __init__(
        self, runtime: LocalRuntime, journal: Journal | None = None, kept: int = 1000
    ) -> None:
        self.runtime = runtime
        self.listener = RecordingListener()
        journal = journal or Journal(None, runtime.genesis_hash, NETUID)
        blocks = Blocks(runtime, journal, kept)
        self.node = Node(blocks, self.listener, netuid=NETUID, tempo=TEMPO)

    @property
    def number(self) -> int:
        return self.node.blocks.head.number

    @property
    def now(self) -> Storage:
        return self.node.blocks.storage_at(self.number)

    def advance(self, blocks: int) -> None:
        for _ in range(blocks):
            self.node.produce()

    def put(self, item: str, *keys: Any, value: Any, pallet: str = SUBTENSOR) -> None:
        self.node.alter(lambda storage: storage.put(item, *keys, value=value, pallet=pallet))

    def neuron(self, name: str, stake: int = 0) -> int:
        hotkey = key(name).ss58_address

        def change(storage: Storage) -> int:
            uid = subnet.register(storage, NETUID, hotkey, OWNER, last_update=0)
            storage.put("TotalHotkeyAlpha", hotkey, NETUID, value=stake)
            subnet.grant_permits(storage, NETUID)
            return uid

        return self.node.alter(change)

    def sign(
        self,
        name: str,
        function: str,
        arguments: dict[str, Any],
        *,
        pallet: str = SUBTENSOR,
        nonce: int | None = None,
        era: Any = IMMORTAL,
        era_block: int = 0,
        genesis: bytes | None = None,
        crypto_type: int = 1,
    ) -> bytes:
        signer = Keypair.create_from_uri(f"//{name}", crypto_type)
        codec = self.runtime.codec
        call = bytes(codec.compose_call(pallet, function, arguments))
        if nonce is None:
            nonce = self.node.next_nonce(signer.ss58_address)
        payload = codec.signature_payload(
            call,
            era=era,
            nonce=nonce,
            tip=0,
            tip_asset_id=None,
            genesis_hash=genesis or self.runtime.genesis_hash,
            era_block_hash=self.node.blocks.hash_of(era_block),
        )
        raw, _ = codec.encode_signed_extrinsic(
            call,
            public_key=bytes(signer.public_key),
            signature=bytes(signer.sign(bytes(payload))),
            signature_version=crypto_type,
            era=era,
            nonce=nonce,
            tip=0,
            tip_asset_id=None,
        )
        return bytes(raw)

    def outcome(self) -> str | None:
        """The error of the last extrinsic in the newest block; None if it succeeded."""
        event = self.now.get("Events", pallet="System")[-1]
        if event["event_id"] == "ExtrinsicSuccess":
            return None
        error = event["attributes"]["dispatch_error"]
        if not isinstance(error, dict) or "Module" not in error:
            return str(next(iter(error))) if isinstance(error, dict) else str(error)
        module = error["Module"]
        number = module["error"]
        first = int(number[2:4], 16) if isinstance(number, str) else number[0]
        return str(self.runtime.codec.module_error(module["index"], first)[0])

    def events(self, name: str, block: int | None = None) -> list[Any]:
        """The contents of the events of this name in a block, by default the newest one."""
        storage = self.node.blocks.storage_at(self.number if block is None else block)
        records = storage.get("Events", pallet="System")
        return [one["attributes"] for one in records if one["event_id"] == name]

    def do(self, name: str, function: str, pallet: str = SUBTENSOR, **arguments: Any) -> str | None:
        """Sign a call and put it into a block; its error, or None."""
        self.node.submit(self.sign(name, function, arguments, pallet=pallet))
        self.node.produce()
        return self.outcome()
