"""The executor's log lines are written with their fields; libraries' info lines are not."""

import subprocess
import sys

import pytest

SCRIPT = """
import logging
from executor.logging_setup import set_up
set_up(debug={debug})
logging.getLogger("executor.session").debug("fine")
logging.getLogger("executor.session").info("job offered", extra=dict(job="1"))
logging.getLogger("aiohttp").info("chatter")
"""


@pytest.mark.parametrize("debug", [False, True])
def test_our_lines_are_shown_with_their_fields(debug):
    script = SCRIPT.format(debug=debug)
    lines = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stderr
    assert "INFO executor.session: job offered job='1'" in lines
    assert "chatter" not in lines
    assert ("fine" in lines) is debug
