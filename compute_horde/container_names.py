"""Names of the containers on a host.

The published executor kills every container `ch-*-job` and `ch-*-nginx` of its host and removes
every network `ch-*` before each job. Hosts are shared, so no name here begins with `ch-`.
"""

PREFIX = "horde"


def executor_container(executor_id: str) -> str:
    """The container an executor runs in."""
    return f"{PREFIX}-{executor_id}"


def job_container(executor_id: str) -> str:
    """The container of an executor's job."""
    return f"{PREFIX}-{executor_id}-job"


def inspection_container(executor_id: str) -> str:
    """The container, never started, with which an executor inspects a job's image."""
    return f"{PREFIX}-{executor_id}-inspection"


def probe_container(executor_id: str) -> str:
    """The container in which an executor tests the isolation of jobs."""
    return f"{PREFIX}-{executor_id}-probe"


def relay_container(executor_id: str) -> str:
    """The container that relays connections to a streaming job."""
    return f"{PREFIX}-{executor_id}-relay"


def sweeper_container(suffix: str) -> str:
    """The container that removes leftovers of dead executors."""
    return f"{PREFIX}-sweep-{suffix}"
