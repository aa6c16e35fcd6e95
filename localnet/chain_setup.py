"""Registers neurons, stakes and balances on a new chain, so that the services can work on it."""

from compute_horde.errors import ChainError
from localnet.chain.admin import Admin, administer
from localnet.identities import LocalIdentity

_TAO = 10**9
_VALIDATOR_STAKE = 10_000 * _TAO
_INITIAL_BALANCE = 1_000 * _TAO


def register_all(url: str, validator: LocalIdentity, miners: tuple[LocalIdentity, ...]) -> None:
    """Register the validator and the miners and fund their keys.

    Calling it again only adds to the balances. Raises `ChainError`.
    """
    with administer(url) as admin:
        _register(admin, validator, _VALIDATOR_STAKE)
        for miner in miners:
            _register(admin, miner, 0)
        for neuron in (validator, *miners):
            admin.fund(neuron.coldkey, _INITIAL_BALANCE)
            admin.fund(neuron.hotkey, _INITIAL_BALANCE)


def _register(admin: Admin, neuron: LocalIdentity, stake: int) -> None:
    try:
        admin.add_neuron(neuron.hotkey, neuron.coldkey, stake)
    except ChainError as error:
        if "AlreadyRegistered" not in str(error):
            raise
