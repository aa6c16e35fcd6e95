"""Log lines with their fields."""

import logging

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """`time LEVEL logger: text key=value …`; every `extra` field is shown."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record's line; a traceback follows on lines of its own."""
        fields = {k: v for k, v in vars(record).items() if k not in _PLAIN}
        shown = " ".join(f"{k}={v!r}" for k, v in fields.items())
        head, *rest = super().format(record).split("\n", 1)
        return "\n".join([f"{head} {shown}".rstrip(), *rest])
