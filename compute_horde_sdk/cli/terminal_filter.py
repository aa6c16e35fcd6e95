"""Removes control sequences except colours from text that is shown on a terminal."""

import re

COLOUR = r"\x1b\[[0-9;:]*m"
# Control characters of ASCII and of Latin-1, but for newline, tab and carriage return.
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
UNSAFE = re.compile(f"({COLOUR})|{CONTROL}")
# A colour sequence that may continue in the next piece.
UNFINISHED = re.compile(r"\x1b(\[[0-9;:]{0,32})?\Z")
RESET = "\x1b[0m"


def printable(text: str) -> str:
    """`text` with all control characters replaced; for names and messages from peers."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


class TerminalFilter:
    """Filters one stream piece by piece; a sequence may be split between two pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._is_coloured = False

    def feed(self, text: str) -> str:
        """The filtered text to show; an incomplete sequence is kept for the next call."""
        text = self._held + text
        found = UNFINISHED.search(text)
        self._held = found[0] if found else ""
        return UNSAFE.sub(self._replaced, text[: found.start()] if found else text)

    def close(self) -> str:
        """The rest of the text, and a reset sequence if colours were used."""
        rest = UNSAFE.sub(self._replaced, self._held)
        self._held = ""
        ending = RESET if self._is_coloured else ""
        self._is_coloured = False
        return rest + ending

    def _replaced(self, found: re.Match[str]) -> str:
        if found[1]:
            self._is_coloured = True
            return found[1]
        return "\N{REPLACEMENT CHARACTER}"
