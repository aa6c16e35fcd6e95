"""The operator's methods on the command line."""

import json
import subprocess
import sys

import pytest

from localnet.chain.operate import parse_options
from localnet.chain.rpc import OPERATOR_METHODS
from localnet.chain.testing import RunningChain
from tests.localnet.chain.workbench import OWNER, key

HOTKEY = key("operated").ss58_address


def operate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "localnet.chain.operate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_method_prints_its_result(local_chain: RunningChain) -> None:
    added = operate(local_chain.url, "addNeuron", HOTKEY, OWNER, "5")
    assert (added.returncode, list(json.loads(added.stdout))) == (0, ["uid", "block"])


def test_a_refusal_is_one_line_and_no_success(local_chain: RunningChain) -> None:
    refused = operate(local_chain.url, "setHyperparameter", "colour", "true")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "the local chain refused local_setHyperparameter: unknown hyperparameter colour"
    ]
    assert operate("ws://127.0.0.1:1", "advance", "1").returncode == 1


def test_parameters_are_json_or_text() -> None:
    options = parse_options(["ws://x", "openCommit", HOTKEY, "[[0, 1]]", "2"])
    assert options.parameters == [HOTKEY, [[0, 1]], 2]


def test_the_help_lists_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    printed = capsys.readouterr().out
    for name in OPERATOR_METHODS:
        assert f"  {name.removeprefix('local_')}: " in printed
