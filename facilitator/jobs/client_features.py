"""Protocol extensions that a client supports, and statuses adapted to them."""

from collections.abc import Mapping
from typing import Any

from compute_horde import lifecycle
from compute_horde.protocol import extensions
from compute_horde.vocabulary import Extension, JobState
from facilitator.jobs.rules import StatusEvent

ClientFeatures = frozenset[Extension]


def features_of(headers: Mapping[str, str]) -> ClientFeatures:
    """The protocol extensions that the client supports, as it announces them in its headers."""
    return extensions.in_header(headers.get(extensions.CLIENT_HEADER, ""))


def status_for_client(client: ClientFeatures, event: StatusEvent) -> StatusEvent:
    """The status, with `cancelled` as `failed` for clients that do not know the former."""
    if event.report.status is not JobState.CANCELLED or Extension.CANCEL in client:
        return event
    return event._replace(report=event.report.model_copy(update={"status": JobState.FAILED}))


def has_ended(job: Mapping[str, Any]) -> bool:
    """Whether a job, as the API returns it, has ended."""
    return job["status_history"][-1]["status"] in lifecycle.FINAL
