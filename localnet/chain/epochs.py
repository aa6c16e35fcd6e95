"""When the subnet's epochs run: the schedule that the chain stores, and the calls that change it.

Rules of subtensor: an epoch runs when a triggered one is due, when more than a tempo of blocks has
passed since the last one ran, or when a tempo has passed since the block from which the schedule
counts. A tempo of 0 has no epochs.
"""

from dataclasses import dataclass

from localnet.chain.storage import Arguments, DispatchError, Event, Storage
from localnet.chain.subtensor_pallet import MAX_TEMPO, MIN_TEMPO, SUBTENSOR

# The numbers of rate-limited calls in `TransactionKeyLastBlock`.
TEMPO_UPDATE = 1
EPOCH_TRIGGER = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """The stored schedule of a subnet; `pending_epoch_at` is 0 unless an epoch is triggered."""

    tempo: int
    last_epoch_block: int
    pending_epoch_at: int
    epoch_index: int
    blocks_since_last_step: int

    def is_due(self, block: int) -> bool:
        """Whether an epoch runs in `block`."""
        if self.tempo == 0:
            return False
        if 0 < self.pending_epoch_at <= block:
            return True
        if self.blocks_since_last_step > self.tempo:
            return True
        return block - self.last_epoch_block >= self.tempo

    @property
    def next_epoch(self) -> int | None:
        """The block of the next epoch unless it is deferred; None without epochs."""
        if self.tempo == 0:
            return None
        scheduled = self.last_epoch_block + self.tempo
        return min(scheduled, self.pending_epoch_at or scheduled)


def schedule(storage: Storage, netuid: int) -> Schedule:
    """The subnet's schedule."""
    return Schedule(
        tempo=int(storage.get("Tempo", netuid)),
        last_epoch_block=int(storage.get("LastEpochBlock", netuid)),
        pending_epoch_at=int(storage.get("PendingEpochAt", netuid)),
        epoch_index=int(storage.get("SubnetEpochIndex", netuid)),
        blocks_since_last_step=int(storage.get("BlocksSinceLastStep", netuid)),
    )


def step(storage: Storage, netuid: int) -> tuple[bool, list[Event]]:
    """Advance the schedule at the start of a block: whether an epoch runs, and the events.

    Where the chain may run no more epochs in this block, the epoch is deferred to the next one.
    """
    counted = min(storage.get("BlocksSinceLastStep", netuid) + 1, storage.get("Tempo", netuid) + 1)
    storage.put("BlocksSinceLastStep", netuid, value=counted)
    current = schedule(storage, netuid)
    if not current.is_due(storage.number):
        return False, []
    if storage.get("MaxEpochsPerBlock") == 0:
        following = storage.number + 1
        storage.put("PendingEpochAt", netuid, value=following)
        content = {"netuid": netuid, "from_block": storage.number, "to_block": following}
        return False, [(SUBTENSOR, {"EpochDeferred": content})]
    storage.put("BlocksSinceLastStep", netuid, value=0)
    storage.put("LastEpochBlock", netuid, value=storage.number)
    storage.put("PendingEpochAt", netuid, value=0)
    storage.put("SubnetEpochIndex", netuid, value=current.epoch_index + 1)
    return True, []


def set_tempo(storage: Storage, netuid: int, tempo: int) -> None:
    """Set the tempo; the schedule counts from the present block on."""
    storage.put("Tempo", netuid, value=tempo)
    storage.put("LastEpochBlock", netuid, value=storage.number)


def sudo_set_tempo(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Set the tempo as the subnet's owner: within bounds, and rarely."""
    netuid, tempo = arguments["netuid"], arguments["tempo"]
    _require_owner(storage, netuid, signer)
    if not MIN_TEMPO <= tempo <= MAX_TEMPO:
        raise DispatchError("TempoOutOfBounds")
    if _blocks_until_scheduled(storage, netuid) < storage.get("AdminFreezeWindow"):
        raise DispatchError("AdminActionProhibitedDuringWeightsWindow")
    _limit_rate(storage, netuid, signer, TEMPO_UPDATE, MIN_TEMPO)
    set_tempo(storage, netuid, tempo)
    return [(SUBTENSOR, {"TempoSet": (netuid, tempo)})]


def trigger_epoch(storage: Storage, signer: str, arguments: Arguments) -> list[Event]:
    """Have an epoch run after the freeze window, as the subnet's owner may."""
    netuid = arguments["netuid"]
    _require_owner(storage, netuid, signer)
    if storage.get("PendingEpochAt", netuid):
        raise DispatchError("EpochTriggerAlreadyPending")
    window = storage.get("AdminFreezeWindow")
    if _blocks_until_scheduled(storage, netuid) < window:
        raise DispatchError("AutoEpochAlreadyImminent")
    tempos = storage.get("OwnerHyperparamRateLimit")
    _limit_rate(storage, netuid, signer, EPOCH_TRIGGER, tempos * storage.get("Tempo", netuid))
    fires_at = storage.number + window
    storage.put("PendingEpochAt", netuid, value=fires_at)
    content = {"netuid": netuid, "by": signer, "fires_at": fires_at}
    return [(SUBTENSOR, {"EpochTriggered": content})]


def _require_owner(storage: Storage, netuid: int, signer: str) -> None:
    if not storage.get("NetworksAdded", netuid):
        raise DispatchError("SubnetNotExists")
    if storage.get("SubnetOwner", netuid) != signer:
        raise DispatchError("BadOrigin", pallet="")


def _blocks_until_scheduled(storage: Storage, netuid: int) -> float:
    """Blocks until the scheduled epoch, without regard to a triggered one."""
    current = schedule(storage, netuid)
    if current.tempo == 0:
        return float("inf")
    return max(0, current.last_epoch_block + current.tempo - storage.number)


def _limit_rate(storage: Storage, netuid: int, account: str, kind: int, blocks: int) -> None:
    """Record a call of this kind. Raises `DispatchError` within `blocks` of the previous one."""
    previous = storage.get("TransactionKeyLastBlock", account, netuid, kind)
    if previous and storage.number - previous < blocks:
        raise DispatchError("TxRateLimitExceeded")
    storage.put("TransactionKeyLastBlock", account, netuid, kind, value=storage.number)
