"""The loader of hotkey files that is part of the wheel; see also `adapters/test_wallet.py`."""

import subprocess
import sys

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from compute_horde.adapters import wallet
from compute_horde.errors import ConfigurationError
from compute_horde.keyfile import load_hotkey


def test_services_and_users_read_hotkeys_alike():
    assert wallet.load_hotkey is load_hotkey


def test_a_hotkey_file_gives_a_key_that_signs(tmp_path):
    keypair = Keypair.create_from_uri("//Charlie")
    (tmp_path / "hotkey").write_bytes(bytes(serialized_keypair_to_keyfile_data(keypair)))
    read = load_hotkey(tmp_path / "hotkey")
    assert keypair.verify(b"text", read.sign(b"text"))


def test_the_secret_is_not_quoted_in_the_error(tmp_path):
    (tmp_path / "odd").write_text("secret words")
    with pytest.raises(ConfigurationError) as caught:
        load_hotkey(tmp_path / "odd")
    assert "secret words" not in str(caught.value)


def test_it_needs_no_service_package():
    code = "import sys, compute_horde.keyfile; print('compute_horde.adapters' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
