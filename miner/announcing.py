"""Announces the address of a hotkey on the chain, unless another copy of this miner has it."""

import ipaddress
import logging
import socket
from urllib.parse import urlsplit

from compute_horde.adapters.chain_port import Chain, Metagraph, Neuron, endpoints
from miner.config import Config
from miner.hotkeys.served import ServedHotkey
from miner.other_copy import CopyDetector, ProbeResult, probe

log = logging.getLogger(__name__)

HTTP_PORTS = {"wss": 443, "https": 443}


class Announcer:
    """Announces the address of one hotkey."""

    def __init__(self, config: Config, served: ServedHotkey) -> None:
        self.served = served
        self._config = config
        self._copy_detector = CopyDetector()
        self._is_known_to_be_absent = False

    def is_registered(self, metagraph: Metagraph) -> bool:
        """Whether the hotkey is in the subnet; logs once when it is not."""
        is_absent = self._registered_neuron(metagraph) is None
        if is_absent and not self._is_known_to_be_absent:
            log.error(
                "not announced, because the hotkey is not registered in the subnet: register it, "
                "or take it out of the settings",
                extra={"hotkey": self.served.ss58_address},
            )
        self._is_known_to_be_absent = is_absent
        return not is_absent

    def is_missing(self, metagraph: Metagraph) -> bool:
        """Whether the hotkey is registered and the chain has another address for it."""
        neuron = self._registered_neuron(metagraph)
        if neuron is None:
            return False
        if (neuron.ip, neuron.port) != self._address():
            return True
        self._copy_detector.mark_announced()
        return False

    def announce(self, chain: Chain) -> None:
        """Announce the address; `chain` signs with this hotkey."""
        ip, port = self._address()
        chain.serve_axon(ip, port)
        self._copy_detector.mark_announced()
        log.info("announced", extra={"ip": ip, "port": port, "hotkey": self.served.ss58_address})
        if not ipaddress.ip_address(ip).is_global:
            log.warning("announced address is not public; set MINER_EXTERNAL_IP", extra={"ip": ip})

    def _address(self) -> tuple[str, int]:
        config = self._config
        ip = str(config.external_ip or address_towards(endpoints(str(config.chain_url))[0]))
        return ip, self.served.announced_port

    def _registered_neuron(self, metagraph: Metagraph) -> Neuron | None:
        """The hotkey's entry in the metagraph, or None."""
        hotkey = self.served.ss58_address
        return next((n for n in metagraph.neurons if n.hotkey == hotkey), None)

    def must_yield(self, metagraph: Metagraph) -> bool:
        """Whether another copy of this miner prevents the announcement; logs each copy found."""
        registered, (ip, port) = self._registered_neuron(metagraph), self._address()
        if registered is None or not registered.port:
            return False
        if (registered.ip, registered.port) == (ip, port):
            return False
        found = probe(registered.ip, registered.port, self.served.ss58_address)
        where = {"other": f"{registered.ip}:{registered.port}", "ours": f"{ip}:{port}"}
        if found is ProbeResult.UNPROVEN:
            log.warning(
                "the miner at the address that the chain has for this hotkey did not prove that it "
                "has the hotkey; announced nevertheless; if the other miner is yours, stop it",
                extra=where,
            )
        if found is not ProbeResult.OTHER_COPY:
            return False
        if self._copy_detector.must_yield():
            log.error(
                "not announced, because another copy with this hotkey answers: stop it, or set "
                "MINER_SERVING=false here",
                extra=where,
            )
            return True
        log.error(
            "announced, although another copy with this hotkey still answers: stop it",
            extra=where,
        )
        return False


def address_towards(url: str) -> str:
    """The local address that packets to `url` are sent from; sends nothing."""
    parts = urlsplit(url)
    port = parts.port or HTTP_PORTS.get(parts.scheme, 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or url, port))
        return str(probe.getsockname()[0])
