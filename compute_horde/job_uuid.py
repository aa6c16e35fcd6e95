"""The uuid of a job, in the one spelling that messages, signatures and receipts hold."""

import re

_SPELLING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_job_uuid(text: str) -> bool:
    """Whether this is a uuid in lower case and hyphenated: safe in paths and on terminals."""
    return _SPELLING.fullmatch(text) is not None
