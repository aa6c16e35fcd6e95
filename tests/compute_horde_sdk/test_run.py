"""One call runs one job: configured by arguments, a file or the environment, in that order."""

import asyncio
import subprocess
import sys

import pytest

from compute_horde.errors import ConfigurationError
from compute_horde_sdk import config
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ExecutorClass,
    InvalidRequestError,
    JobUnsuccessful,
    run,
)
from tests.compute_horde_sdk.pretend import USER, VALIDATOR, finished, steps
from tests.compute_horde_sdk.test_jobs import FAILURE


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("FACILITATOR_URL", "USER_HOTKEY_FILE", "VALIDATOR_HOTKEY", "EXECUTOR_CLASS"):
        monkeypatch.delenv(name, raising=False)


def body(server):
    import json

    return json.loads(server.seen("POST /api/v1/job")[0][2])


def test_three_lines_run_a_job(settings, server):
    result = run("computehorde/busybox", ["echo", "hi"])
    assert (result.stdout, result.exit_code, result.status.value) == ("hi\n", 0, "completed")
    assert result.uuid in server.jobs
    assert [entry.status.value for entry in result.statuses][-1] == "completed"
    sent = body(server)
    assert sent["args"] == ["echo", "hi"]
    assert sent["executor_class"] == "always_on.test"
    assert sent["artifacts_dir"] is None
    assert "volumes" not in sent


def test_all_it_takes_can_be_said_in_arguments(server, tmp_path):
    (tmp_path / "in.txt").write_text("in")
    server.script = steps(end=(0, "completed", finished(artifacts={"/artifacts/o": "eA=="})))
    result = run(
        "image",
        env={"B": "2", "A": "1"},
        inputs={str(tmp_path / "in.txt"): "x/in.txt"},
        outputs={"o": str(tmp_path / "o")},
        executor_class=ExecutorClass.always_on__llm__a6000,
        namespace="SN1.0",
        trusted=True,
        download_time_limit=1,
        execution_time_limit=2,
        upload_time_limit=3,
        hotkey=USER,
        validator_hotkey=VALIDATOR,
        facilitator_url=server.url,
    )
    assert result.saved == [tmp_path / "o"]
    assert (tmp_path / "o").read_bytes() == b"x"
    sent = body(server)
    assert list(sent["env"]) == ["B", "A"]
    assert sent["executor_class"] == "always_on.llm.a6000"
    assert sent["job_namespace"] == "SN1.0"
    assert sent["on_trusted_miner"] is True
    assert sent["artifacts_dir"] == "/artifacts"
    assert [sent[f"{n}_time_limit"] for n in ("download", "execution", "upload")] == [1, 2, 3]
    assert [volume["relative_path"] for volume in sent["volumes"]] == ["x"]


def test_a_job_that_does_not_complete_raises_with_its_error(settings, server):
    server.script = steps("received", end=(0, "failed", FAILURE))
    with pytest.raises(JobUnsuccessful, match="nonzero_return_code: exit status 3") as caught:
        run("image")
    assert caught.value.job.result.stderr == "oops"
    result = run("image", check=False)
    assert (result.exit_code, result.stdout, result.error.stage) == (3, "so far", "execution")


def test_outputs_of_a_job_that_does_not_complete_are_said_not_to_be_kept(
    settings, server, tmp_path
):
    server.script = steps("received", end=(0, "failed", FAILURE))
    notices = []
    outputs = {"a": tmp_path / "a"}
    result = run("image", check=False, outputs=outputs, notice_callback=notices.append)
    assert result.saved == []
    (notice,) = notices
    assert notice.startswith(f"no output was saved: job {result.uuid} ended failed")


def test_the_callback_hears_every_status(settings, server):
    statuses = []
    run("image", status_callback=lambda job, entry: statuses.append(entry.status.value))
    assert statuses[0] == "sent"
    assert statuses[-1] == "completed"


async def test_within_an_event_loop_it_names_the_way_that_works(settings):
    with pytest.raises(ComputeHordeError, match="await"):
        run("image")


def test_it_works_again_after_another_loop(settings):
    asyncio.run(asyncio.sleep(0))
    assert run("image").stdout == run("image").stdout == "hi\n"


def test_args_are_words(settings):
    with pytest.raises(ValueError, match="list of words"):
        run("image", "echo hi")


def test_a_file_of_settings_is_read_and_arguments_win(server, hotkey_file, tmp_path, monkeypatch):
    monkeypatch.setenv("VALIDATOR_HOTKEY", USER.ss58_address)
    lines = f"""
    # a comment
    FACILITATOR_URL={server.url}
    export USER_HOTKEY_FILE='{hotkey_file}'
    VALIDATOR_HOTKEY="{VALIDATOR}"
    EXECUTOR_CLASS=always_on__cpu__8c__16gb
    """
    (tmp_path / "env").write_text(lines)
    known = config.load(env_file=tmp_path / "env")
    assert known == config.Config(
        server.url, hotkey_file, VALIDATOR, ExecutorClass.always_on__cpu__8c__16gb
    )
    known = config.load(env_file=tmp_path / "env", validator_hotkey="given", hotkey_file="f")
    assert (known.validator_hotkey, str(known.hotkey_file)) == ("given", "f")
    assert run("image", env_file=tmp_path / "env").stdout == "hi\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "USER_HOTKEY_FILE is not set"),
        ({"hotkey": USER}, "VALIDATOR_HOTKEY is not set"),
        ({"hotkey": USER, "validator_hotkey": "v", "executor_class": "x"}, "always_on.test"),
        ({"hotkey": "/no/such", "validator_hotkey": "v"}, "no hotkey file at /no/such"),
        ({"env_file": "/no/such"}, "/no/such"),
    ],
)
def test_what_is_missing_is_named(arguments, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        run("image", **arguments)


def test_a_line_that_sets_nothing_is_named(tmp_path):
    (tmp_path / "env").write_text("\nFACILITATOR_URL\n")
    with pytest.raises(ConfigurationError, match="env:2"):
        config.load(env_file=tmp_path / "env")


def test_the_public_names_load_without_what_only_some_need():
    code = (
        "import sys, compute_horde_sdk.v1; "
        "print([m for m in ('httpx','rich','typer','cryptography','sky','django','websockets')"
        " if m in sys.modules]); "
        "import compute_horde_sdk.cli.commands, httpcore; "
        "print([m for m in ('rich','click','pygments','trio') if sys.modules.get(m)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


@pytest.mark.parametrize("timeout", [-1, 0, float("nan")])
def test_a_wait_of_no_time_is_refused_before_the_job_is_sent(settings, server, timeout):
    with pytest.raises(InvalidRequestError, match="more than 0"):
        run("image", timeout=timeout)
    assert not server.jobs


@pytest.mark.parametrize("limit", ["download", "execution", "upload"])
def test_a_limit_of_no_time_is_refused_with_its_option(settings, server, limit):
    with pytest.raises(InvalidRequestError, match=rf"\(--{limit}-limit\).*at least 1, not 0"):
        run("image", **{f"{limit}_time_limit": 0})
    assert not server.jobs


def test_an_environment_file_is_read_as_a_shell_reads_it(tmp_path):
    file = tmp_path / "env"
    file.write_text(
        "# whom to ask\n\nexport FACILITATOR_URL='http://f.example/#a'  # the old one\n"
        'USER_HOTKEY_FILE="/my wallets/hot # key"\nVALIDATOR_HOTKEY=5V # mine\nEXECUTOR_CLASS=\n'
    )
    known = config.load(env_file=file)
    assert known.facilitator_url == "http://f.example/#a"
    assert str(known.hotkey_file) == "/my wallets/hot # key"
    assert known.validator_hotkey == "5V"
    names = '"$FACILITATOR_URL" "$USER_HOTKEY_FILE" "$VALIDATOR_HOTKEY"'
    sourced = subprocess.run(
        ["bash", "-c", f'. {file}; printf "%s|" {names}'],
        capture_output=True, text=True, check=True, env={},
    )  # fmt: skip
    assert sourced.stdout == "http://f.example/#a|/my wallets/hot # key|5V|"


@pytest.mark.parametrize("line", ["just words", "FACILITATOR_URL", "VALIDATOR_HOTKEY='5V"])
def test_a_line_that_is_none_is_named_by_its_number(tmp_path, line):
    file = tmp_path / "env"
    file.write_text(f"# one\n\nUSER_HOTKEY_FILE=x\n{line}\n")
    with pytest.raises(ConfigurationError, match=rf"{file}:4 is not a KEY=VALUE line"):
        config.load(env_file=file)
