"""NUL characters, which PostgreSQL's texts cannot hold.

What a user asks for is refused with one; what others report is stored with a replacement.
"""


def replace_nul(text: str) -> str:
    """The text with U+FFFD, the replacement character, for each NUL: as many characters."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
