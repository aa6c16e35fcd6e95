"""What a new chain needs before the services may work on it: neurons, stake, money."""

from compute_horde.errors import ChainError
from localnet.chain.admin import Admin, administer
from localnet.identities import Identity

_TAO = 10**9
_VALIDATOR_STAKE = 10_000 * _TAO
_POCKET_MONEY = 1_000 * _TAO


def furnish(url: str, validator: Identity, miners: tuple[Identity, ...]) -> None:
    """Register everybody. Doing it again changes nothing but the balances."""
    with administer(url) as admin:
        _register(admin, validator, _VALIDATOR_STAKE)
        for miner in miners:
            _register(admin, miner, 0)
        for one in (validator, *miners):
            admin.fund(one.coldkey, _POCKET_MONEY)
            admin.fund(one.hotkey, _POCKET_MONEY)


def _register(admin: Admin, one: Identity, stake: int) -> None:
    try:
        admin.add_neuron(one.hotkey, one.coldkey, stake)
    except ChainError as error:
        if "AlreadyRegistered" not in str(error):
            raise
