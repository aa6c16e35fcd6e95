"""A log is read whole and once, whatever happens to the connection."""

import pytest

from compute_horde.errors import ProtocolError
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    LogsUnavailable,
    RequestRefused,
)
from compute_horde_sdk.facilitator import job_logs
from compute_horde_sdk.facilitator.job_logs import LogPiece

PRINTED = [
    {"stream": "stdout", "text": "ä\n"},
    {"stream": "stderr", "text": "\n[1 bytes of the output were lost]\n", "is_gap": True},
    {"stream": "stderr", "text": "err"},
]
PIECES = [
    LogPiece("stdout", "ä\n", 3),
    LogPiece("stderr", "\n[1 bytes of the output were lost]\n", 38, is_gap=True),
    LogPiece("stderr", "err", 41),
]


@pytest.fixture
async def job(client, spec, server):
    server.log = PRINTED
    return await client.create_job(spec)


async def test_pieces_come_with_their_cursors(job):
    assert [piece async for piece in job.logs()] == PIECES


async def test_a_reader_goes_on_where_it_was(job, server):
    server.log_breaks = 2
    assert [piece async for piece in job.logs()] == PIECES
    asked = [path for _, path, _, _ in server.seen("GET /api/v1/jobs/") if "logs" in path]
    assert [path.partition("?")[2] for path in asked] == ["from=0", "from=3", "from=38"]


async def test_a_log_is_read_from_a_cursor_and_without_waiting(job, server):
    assert [piece async for piece in job.logs(follow=False, from_=3)] == PIECES[1:]
    assert server.seen("GET")[-1][1].endswith("/logs?from=3&follow=false")


async def test_a_facilitator_that_is_away_is_waited_for(job, server):
    server.faults["GET /api/v1/jobs/"] = ["drop", 503, "drop", 500]
    assert [piece async for piece in job.logs()] == PIECES


async def test_but_not_for_ever(job, server, monkeypatch):
    monkeypatch.setattr(job_logs, "MAX_OUTAGE_SECONDS", 0)
    server.faults["GET /api/v1/jobs/"] = ["drop"] * 10
    with pytest.raises(FacilitatorUnreachable, match="--from 0"):
        await anext(job.logs())


async def test_a_refusal_is_told(job, server):
    server.faults[f"GET /api/v1/jobs/{job.uuid}/logs"] = [416]
    with pytest.raises(RequestRefused):
        await anext(job.logs())


async def test_who_asks_beyond_the_end_is_told_how_long_the_log_is(job):
    with pytest.raises(RequestRefused) as caught:
        await anext(job.logs(from_=9999))
    assert str(caught.value) == (
        f"the log of job {job.uuid} cannot be read from byte 9999 on, which is beyond its end: "
        "the log has 41 bytes so far"
    )


@pytest.mark.parametrize("status", [404, 405])
async def test_a_published_facilitator_has_no_logs(job, server, status):
    server.faults[f"GET /api/v1/jobs/{job.uuid}/logs"] = [status]
    with pytest.raises(LogsUnavailable):
        await anext(job.logs())


async def test_an_unknown_job_is_unknown(client, server):
    with pytest.raises(ComputeHordeNotFoundError):
        await anext(client.job("11111111-1111-1111-1111-111111111111").logs())
    with pytest.raises(ValueError, match="not the uuid"):
        client.job("../x")


@pytest.mark.parametrize(
    "piece", [{"stream": "stdin", "text": "x"}, {"stream": "stdout", "text": 1}, {"text": "x"}]
)
async def test_a_malformed_piece_is_an_error(job, server, piece):
    server.log = [{"text": "x"} | piece]
    if piece["text"] == 1:
        with pytest.raises((ProtocolError, StopAsyncIteration)):
            job_logs._piece(
                job_logs.sse.ServerSentEvent("message", '{"stream": "stdout", "text": 1}', "1")
            )
        return
    with pytest.raises(ProtocolError):
        await anext(job.logs())
