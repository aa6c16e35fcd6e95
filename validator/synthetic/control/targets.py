"""What is probed: what the settings and the jobs of a batch depend on."""

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from compute_horde.image_names import ImageName
from validator.config import Config
from validator.network.chain import endpoints
from validator.synthetic.control.excusing import host_of, input_urls, upload_urls
from validator.synthetic.control.faults import FaultKind, Target
from validator.synthetic.control.probes import (
    Probe,
    has_image,
    is_outside,
    reaches,
    serves_input,
    takes_uploads,
)
from validator.synthetic.kinds.kind import PreparedJob

PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
# Probes of one kind: a batch's jobs need not be few.
MOST_PROBES = 8


def of_settings(config: Config) -> list[Probe]:
    """The chain's nodes, the facilitator, the operator's addresses, and the kinds' registries."""
    images = [
        str(image)
        for choices in config.kinds.values()
        for choice in choices
        if (image := choice.image)
    ]
    urls: list[str] = []
    # A name that is no network's is reported by whatever reads the chain.
    with suppress(ValueError):
        urls = endpoints(config.chain_url)
    nodes = [_address(FaultKind.CHAIN, url) for url in urls]
    others = [_address(None, config.facilitator_url)]
    others += [_given(address) for address in config.control_probes]
    return [*(one for one in [*nodes, *others] if one), *of_images(images)]


def of_jobs(jobs: Iterable[PreparedJob]) -> list[Probe]:
    """The registries and the hosts of inputs and uploads of a batch's jobs."""
    images: dict[str, None] = {}
    probes: dict[Target, Probe] = {}
    for job in jobs:
        images[job.image] = None
        asks = [(url, serves_input) for url in input_urls(job)]
        asks += [(url, takes_uploads) for url in upload_urls(job)]
        for url, ask in asks:
            host = host_of(url)
            target = Target(FaultKind.BUCKET, host, is_outside(_name(host)))
            if host and target not in probes and len(probes) < MOST_PROBES:
                probes[target] = Probe(target, ask(url))
    return [*of_images(images), *probes.values()]


def of_images(images: Iterable[str]) -> list[Probe]:
    """One probe for each registry, by the first of its images."""
    probes: dict[Target, Probe] = {}
    for image in images:
        with suppress(ValueError):
            name = ImageName.parse(image)
            target = Target(FaultKind.REGISTRY, name.registry, is_outside(_name(name.registry)))
            if len(probes) < MOST_PROBES:
                probes.setdefault(target, Probe(target, has_image(name)))
    return list(probes.values())


def _address(kind: FaultKind | None, url: str) -> Probe | None:
    """A probe of the address in a URL; None for a URL without one."""
    with suppress(ValueError):
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
        if parts.hostname and port:
            target = Target(kind, f"{parts.hostname}:{port}", is_outside(parts.hostname))
            return Probe(target, reaches(parts.hostname, port))
    return None


def _given(address: str) -> Probe | None:
    """An operator's address, which is outside because the operator says so."""
    parts = urlsplit(f"//{address}")
    if not parts.hostname or not parts.port:
        return None
    target = Target(None, f"{parts.hostname}:{parts.port}")
    return Probe(target, reaches(parts.hostname, parts.port))


def _name(host: str) -> str:
    """A host without its port."""
    return urlsplit(f"//{host}").hostname or ""
