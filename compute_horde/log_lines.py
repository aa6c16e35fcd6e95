"""Formats log records as one line with their fields."""

import logging
import re
import traceback
from types import TracebackType

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# The user and password in a URL, except those of the example in the settings' descriptions.
_CREDENTIALS = re.compile(r"(?<=://)(?!user:password@)[^\s/@'\"]*@")
# Class names of errors of external services, logged without a traceback: the reader needs to know
# what happened, not where. By name, so that no library is imported for it.
_EXTERNAL_ERRORS = frozenset(
    {
        "ConnectionError",
        "InterfaceError",
        "OperationalError",
        "OutsideError",
        "TimeoutError",
    }
)


class FieldFormatter(logging.Formatter):
    """`time LEVEL logger: text key=value …`; every `extra` field is shown.

    An error of an external service is added to the line; any other error's traceback follows on
    separate lines. Credentials in URLs are removed.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with the traceback if there is one."""
        fields = {k: v for k, v in vars(record).items() if k not in _PLAIN}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and is_outside(error):
            fields |= _problem_fields(error)
            # A copy: other handlers share the record and may need the traceback.
            record = logging.makeLogRecord(vars(record) | {"exc_info": None, "exc_text": None})
        shown = " ".join(f"{k}={v!r}" for k, v in fields.items())
        head, *rest = super().format(record).split("\n", 1)
        return redacted("\n".join([f"{head} {shown}".rstrip(), *rest]))


class WithoutTraceback(logging.Filter):
    """Removes the traceback and the request object from a logger's records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accepts every record, after removing parts of it."""
        record.exc_info = record.exc_text = None
        vars(record).pop("request", None)
        return True


def is_outside(error: BaseException) -> bool:
    """Whether an external service failed: a database, the chain, the network."""
    return any(kind.__name__ in _EXTERNAL_ERRORS for kind in type(error).__mro__)


def redacted(text: str) -> str:
    """The text with credentials in URLs replaced by `***`."""
    return _CREDENTIALS.sub("***@", text)


def _problem_fields(error: BaseException) -> dict[str, str]:
    problem = " ".join(str(error).split()) or type(error).__name__
    place = _own_code_line(error.__traceback__)
    return {"problem": problem, **({"at": place} if place else {})}


def _own_code_line(trace: TracebackType | None) -> str:
    """The innermost line of our own code in a traceback, as `module:line`."""
    for frame in reversed(traceback.extract_tb(trace)):
        if "site-packages" not in frame.filename and "/lib/python" not in frame.filename:
            return "/".join(frame.filename.split("/")[-2:]) + f":{frame.lineno}"
    return ""
