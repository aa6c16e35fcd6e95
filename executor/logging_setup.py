"""Logging to stderr."""

import logging

from compute_horde.log_lines import FieldFormatter


def set_up(*, debug: bool) -> None:
    """Log the executor from INFO (DEBUG with `debug`), libraries from WARNING."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("compute_horde.startup").setLevel(logging.INFO)
    logging.getLogger("executor").setLevel(logging.DEBUG if debug else logging.INFO)
