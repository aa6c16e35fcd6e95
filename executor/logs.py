"""Log lines on stderr."""

import logging

from compute_horde.django.logs import FieldFormatter


def set_up(*, debug: bool) -> None:
    """Ours from INFO on, the libraries' from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("executor").setLevel(logging.DEBUG if debug else logging.INFO)
