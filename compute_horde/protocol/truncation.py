"""Truncated output in a job's result: its limits, and optional keys beyond the protocol."""

from typing import Annotated

from pydantic import Field

# A stream with more characters is sent as its beginning and its end.
SHOWN_CHARACTERS = 1_000_000
HALF_CHARACTERS = SHOWN_CHARACTERS // 2
GAP = " ... "

TotalBytes = Annotated[int, Field(ge=0, lt=2**63)]

# A stream that is not UTF-8 is also sent as raw bytes, up to this many.
RAW_BYTES = 750_000
RAW_CHARACTERS = RAW_BYTES // 3 * 4
RawOutput = Annotated[
    dict[str, Annotated[str, Field(max_length=RAW_CHARACTERS)]],
    Field(max_length=2, exclude_if=lambda streams: not streams),
]
# By stream: the bytes printed to it, where not all of them were sent: only the beginning and the
# end, or a text with replacement characters because they are no UTF-8 and more than `RAW_BYTES`.
Truncated = Annotated[
    dict[str, TotalBytes],
    Field(max_length=16, exclude_if=lambda streams: not streams),
]
