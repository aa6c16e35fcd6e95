"""The health check of a container, asked from inside it: `python -m <service> health`."""

import urllib.error
import urllib.request
from pathlib import Path

ASK_SECONDS = 5
# Needs that are cheap enough to check repeatedly.
CHEAP = frozenset({"database", "broker"})


def ask(port: int) -> int:
    """Query the web server of this container and print its answer; 0 when it is healthy."""
    url = f"http://127.0.0.1:{port}/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ASK_SECONDS) as answer:
            print(answer.read(200).decode(errors="replace"))
            return 0
    except urllib.error.HTTPError as exc:
        print(exc.read(200).decode(errors="replace"))
    except OSError as exc:
        print(f"{url}: {exc}")
    return 1


def first_process_of_container() -> str:
    """The process name in the container's start command, such as `python -m miner keep`."""
    words = Path("/proc/1/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return words[-1].decode(errors="replace")
