"""The command `compute-horde`."""

import sys

# Where click, rich and pygments are installed, `import httpx` loads httpx's own command line with
# them, which takes as long as everything that this command needs. Without it, httpx is the same.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
