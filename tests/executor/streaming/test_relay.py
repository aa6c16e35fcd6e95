"""The relay container of a streaming job has no privileges."""

import stat

from executor.sandbox.engine import Image
from executor.streaming import relay

IMAGE = Image("sha256:1", "sha256:2", "", (), {}, ())


def made(work, config, uid=0):
    return relay.relay_container_spec(IMAGE, work, config, executor_id="abc", uid=uid)


def test_it_has_no_network_and_no_rights(work, config):
    host = made(work, config).host
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] == host["MemorySwap"]
    assert host["PidsLimit"] > relay.CONNECTIONS


def test_it_sees_one_folder_that_the_job_does_not(work, config):
    (bind,) = made(work, config).host["Binds"]
    assert bind == f"{work.path}/relay:/relay"
    assert work.path / "relay" not in work.shared()
    assert stat.S_IMODE(work.path.stat().st_mode) == 0o700


def test_it_is_nobody_or_the_executor_s_own_user(work, config):
    assert made(work, config).user == "65534:65534"
    assert made(work, config, uid=1000).user == "1000"


def test_it_is_found_again_by_its_labels(work, config):
    assert set(made(work, config).labels.values()) == {"abc", config.owner}


def test_the_job_s_network_is_the_relay_s():
    assert relay.network("f00") == "container:f00"
