"""The connection options of the commands."""

import pytest

from compute_horde_sdk.cli.connection_options import ConnectionOptions


@pytest.mark.usefixtures("settings")
def test_a_question_is_asked_as_options_and_environment_say(server):
    async def ask(client):
        return await client.get_jobs()

    assert ConnectionOptions(None, None, None, None).call(ask) == []
    assert server.seen("GET /api/v1/jobs/")
