"""Peers that have used an optional proof once, and from which it is required ever since."""

from compute_horde_sdk.persistent_set import PersistentSet

# Validators that have signed the address of a streaming job.
validators = PersistentSet("validators-that-prove-addresses")
# Facilitators whose login nonces have contained their host name.
facilitators = PersistentSet("facilitators-that-name-themselves")
