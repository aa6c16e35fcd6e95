"""What users' programs understand, and a job in the words they know."""

from collections.abc import Mapping
from typing import Any

from compute_horde import lifecycle
from compute_horde.protocol import extensions
from compute_horde.vocabulary import Extension, JobState
from facilitator.rules import Told

Client = frozenset[Extension]


def client_of(headers: Mapping[str, str]) -> Client:
    """What the client of a request understands beyond the published API."""
    return extensions.in_header(headers.get(extensions.CLIENT_HEADER, ""))


def in_words_of(client: Client, told: Told) -> Told:
    """The same status in words that the client knows: published ones take an end for a failure."""
    if told.report.status is not JobState.CANCELLED or Extension.CANCEL in client:
        return told
    return told._replace(report=told.report.model_copy(update={"status": JobState.FAILED}))


def has_ended(job: Mapping[str, Any]) -> bool:
    """Whether nothing follows in a job as its owner sees it."""
    return job["status_history"][-1]["status"] in lifecycle.FINAL
