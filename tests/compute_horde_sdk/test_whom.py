"""Whom the command asks."""

import pytest

from compute_horde_sdk.whom import Whom


@pytest.mark.usefixtures("settings")
def test_a_question_is_asked_as_options_and_environment_say(server):
    async def ask(client):
        return await client.get_jobs()

    assert Whom(None, None, None, None).asked(ask) == []
    assert server.seen("GET /api/v1/jobs/")
