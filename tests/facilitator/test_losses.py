"""Parts missing from a result are shown to the job's owner as its validator reported them."""


async def test_what_a_result_lacks_is_shown_as_it_came(line, user):
    left_out = [{"name": "/artifacts/big", "size": 5, "why": "too large"}]
    printed = {"docker_process_stdout": "o", "docker_process_stderr": ""}
    truncated = {"stdout": 2_000_000}
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    left = printed | {
        "left_out": left_out,
        "truncated": truncated,
        "raw_output": {"stdout": "/w=="},
    }
    await line.report(uuid, "completed", miner_response=left)
    job = await user.job(uuid)
    assert (job["left_out"], job["truncated"]) == (left_out, truncated)
    assert job["raw_output"] == {"stdout": "/w=="}
    result = job["status_history"][-1]["metadata"]["miner_response"]
    assert (result["left_out"], result["truncated"]) == (left_out, truncated)


async def test_the_job_of_a_published_validator_has_no_keys_for_what_it_lacks(line, user):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    printed = {"docker_process_stdout": "o", "docker_process_stderr": ""}
    await line.report(uuid, "completed", miner_response=printed)
    assert (await user.job(uuid)).keys().isdisjoint({"left_out", "truncated", "raw_output"})
