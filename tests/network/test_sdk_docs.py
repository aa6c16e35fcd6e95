"""The streaming example of the SDK's page works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.network.running import Running

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use-the-sdk.md").read_text()
(EXAMPLE,) = (
    snippet
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if "streaming=" in snippet
)


def test_the_streaming_example_works(network: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLE],
        env=os.environ | network.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello\n\nhello\n 64\ncompleted\n"
