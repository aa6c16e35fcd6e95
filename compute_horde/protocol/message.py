"""The base of all messages, and their encoding in frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from compute_horde import frames
from compute_horde.errors import ProtocolError
from compute_horde.frames import MAX_FRAME_BYTES

FACILITATOR_FRAME_BYTES = 2**20
REPORT_FRAME_BYTES = 16 * 2**20
SHOWN_ERRORS = 3
# Describing an error takes far more memory than the invalid value.
LISTED_ERRORS = 100

M = TypeVar("M", bound="Message")

# So that every number fits a database column and a `timedelta`.
ExitStatus = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Seconds = Annotated[int, Field(ge=0, lt=2**31)]
# Left out when empty, since published peers may not expect it.
Announced = Annotated[
    tuple[Annotated[str, Field(max_length=32)], ...],
    Field(max_length=32, exclude_if=lambda words: not words),
]
Port = Annotated[int, Field(ge=0, lt=2**16)]


class Message(BaseModel):
    """An immutable message. Unknown fields are ignored, since peers upgrade separately."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def encode(self) -> str:
        """One text frame: compact JSON with every field present."""
        return self.model_dump_json()


class JobMessage(Message):
    """A message about one job."""

    if TYPE_CHECKING:
        job_uuid: str


@dataclass(frozen=True, slots=True)
class Link(Generic[M]):
    """One direction between two parties: the allowed messages and the longest frame.

    `from_legacy` turns a message of an older peer into a current one.
    """

    name: str
    adapter: TypeAdapter[M]
    max_bytes: int = MAX_FRAME_BYTES
    from_legacy: Callable[[M], Any] | None = None

    def decode(self, raw: str | bytes) -> M:
        """The message in a frame; raises `ProtocolError` for anything else."""
        try:
            data = frames.checked(raw, max_bytes=self.max_bytes)
            message = self.adapter.validate_json(data)
        except ValidationError as exc:
            raise ProtocolError(f"Malformed message on {self.name}: {_problem_text(exc)}") from None
        except (ProtocolError, UnicodeError, RecursionError) as exc:
            raise ProtocolError(f"Malformed message on {self.name}: {exc}") from None
        return self.from_legacy(message) if self.from_legacy else message


def _problem_text(exc: ValidationError) -> str:
    """The first problems as text, without any of the peer's data."""
    if exc.error_count() > LISTED_ERRORS:
        return f"{exc.error_count()} problems"
    problems = exc.errors(include_input=False, include_url=False, include_context=False)
    shown = [
        f"{'.'.join(map(str, p['loc']))[:100]}: {p['msg'][:200]}" for p in problems[:SHOWN_ERRORS]
    ]
    more = len(problems) - len(shown)
    return "; ".join(shown) + (f" (and {more} more)" if more else "")
