"""The command `compute-horde`."""

import sys

# What httpx and httpcore load where it is installed, and this command never uses: httpx's own
# command line with click, rich and pygments, and another event loop. They take more time than
# everything that is used; both libraries do without them.
for _unused in ("httpx._main", "trio"):
    sys.modules.setdefault(_unused, None)  # type: ignore[arg-type]
