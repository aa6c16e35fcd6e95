"""What is probed for the settings and for a batch's jobs."""

from compute_horde.volumes import SingleFileVolume
from tests.validator.conftest import configured
from tests.validator.synthetic.making import prepared
from validator.synthetic.control.faults import FaultKind, Target
from validator.synthetic.control.targets import MOST_PROBES, of_jobs, of_settings


def test_the_settings_name_nodes_facilitator_addresses_and_registries() -> None:
    config = configured(
        chain_url="wss://node.example:9944/secret, ws://127.0.0.1:9945",
        facilitator_url="wss://facilitator.example/ws/v0/",
        control_probes=["192.0.2.1:443", "127.0.0.1:80"],
        hash_image="ghcr.io/org/hash:v1",
    )
    assert {probe.target for probe in of_settings(config)} == {
        Target(FaultKind.CHAIN, "node.example:9944"),
        Target(FaultKind.CHAIN, "127.0.0.1:9945", is_outside=False),
        Target(None, "facilitator.example:443"),
        Target(None, "192.0.2.1:443"),
        Target(None, "127.0.0.1:80"),
        Target(FaultKind.REGISTRY, "ghcr.io"),
    }


def test_the_jobs_name_registries_and_the_hosts_of_inputs() -> None:
    volume = SingleFileVolume(url="https://bucket.example/in", relative_path="in")
    jobs = [prepared("m"), prepared("m", number=1, volume=volume)]
    assert [probe.target for probe in of_jobs(jobs)] == [
        Target(FaultKind.REGISTRY, "docker.io"),
        Target(FaultKind.BUCKET, "bucket.example"),
    ]


def test_the_number_of_probes_is_bounded() -> None:
    volumes = [
        SingleFileVolume(url=f"https://bucket{number}.example/in", relative_path="in")
        for number in range(50)
    ]
    jobs = [prepared("m", volume=volume) for volume in volumes]
    assert len(of_jobs(jobs)) == 1 + MOST_PROBES
