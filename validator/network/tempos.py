"""How long cycles were at a block: the subnet's owner may change its tempo at any time."""

from compute_horde.cycles import NOMINAL_EPOCHS_PER_CYCLE
from validator.network.models import Snapshot


def cycle_length(block: int) -> int | None:
    """In blocks, by the tempo when the chain was first seen at or after `block`; None if never."""
    seen = Snapshot.objects.filter(block__gte=block).order_by("block", "id")
    tempo = seen.values_list("tempo", flat=True).first()
    return None if tempo is None else NOMINAL_EPOCHS_PER_CYCLE * (tempo + 1)
