"""The chain's interface is that of its adapter, and costs no import of the chain's SDK."""

import inspect
import subprocess
import sys

import pytest

from compute_horde.adapters import chain_port
from compute_horde.adapters.chain import BittensorChain
from compute_horde.adapters.chain_port import (
    Chain,
    ChainRefused,
    ChainUnreachable,
    RateLimited,
    endpoints,
)
from compute_horde.errors import ChainError

METHODS = [name for name in vars(Chain) if not name.startswith("_")]


def parameters(method) -> list[tuple[str, object]]:
    return [(one.name, one.default) for one in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("name", METHODS)
def test_the_adapter_has_each_method_with_its_parameters(name):
    assert parameters(getattr(BittensorChain, name)) == parameters(getattr(Chain, name))


@pytest.mark.parametrize("kind", ["RateLimited", "NotRegistered", "NotPermitted"])
def test_a_refusal_says_why_and_is_no_missing_answer(kind):
    refused = getattr(chain_port, kind)("too soon", "rate_limited", "SettingWeightsTooFast")
    assert isinstance(refused, ChainRefused)
    assert isinstance(refused, ChainError)
    assert not isinstance(refused, ChainUnreachable)
    assert (str(refused), refused.reason) == ("too soon", "rate_limited")
    assert refused.name == "SettingWeightsTooFast"
    assert RateLimited("x", "y").name is None


def test_its_import_brings_no_sdk():
    code = (
        "import sys, compute_horde.adapters.chain_port as port\n"
        "print(port.Chain.__name__, *({'bittensor', 'bittensor_core'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Chain"]


def test_addresses_are_given_one_by_one_or_in_one_text():
    assert endpoints("ws://a") == ["ws://a"]
    assert endpoints(" ws://a, finney,") == endpoints(["ws://a", "finney"]) == ["ws://a", "finney"]
    for nothing in ("", " , ", []):
        with pytest.raises(ChainRefused, match="no address"):
            endpoints(nothing)
