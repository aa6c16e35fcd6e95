"""The result names outputs that it cannot hold, tested with real jobs."""

import base64

import pytest

pytestmark = pytest.mark.docker

LINE = (
    "head -c 1000000 /dev/zero >/a/big; mkdir /a/sub; echo deep >/a/sub/x; echo x >/a/small; "
    "yes | head -c 2500000; yes | head -c 10 >&2"
)


async def test_what_does_not_fit_is_named_and_what_fits_is_kept(runs):
    done = await runs(LINE, artifacts_dir="/a")
    assert done.message_type == "V0JobFinishedRequest"
    assert list(done.artifacts) == ["/a/small"]
    assert [(one.name, one.size) for one in done.left_out] == [
        ("/a/big", 1_000_000),
        ("/a/sub/", 5),
    ]
    assert done.truncated == {"stdout": 2_500_000}
    assert "/a/big (1,000,000 bytes)" in done.docker_process_stderr


async def test_a_failed_job_says_that_its_output_is_cut(runs):
    failed = await runs(LINE + "; exit 3", artifacts_dir="/a")
    assert failed.docker_process_exit_status == 3
    assert failed.truncated == {"stdout": 2_500_000}


async def test_a_job_that_loses_nothing_says_nothing_of_it(runs):
    done = await runs("echo x >/a/small", artifacts_dir="/a")
    assert (done.left_out, done.truncated) == ((), {})
    assert done.docker_process_stderr == ""


async def test_output_that_is_no_text_travels_as_it_is_too(runs):
    done = await runs("printf 'a\\377\\000b'; echo text >&2")
    assert done.docker_process_stdout == "a\N{REPLACEMENT CHARACTER}\0b"
    assert done.raw_output == {"stdout": base64.b64encode(b"a\xff\0b").decode()}
    failed = await runs("printf '\\377' >&2; exit 3")
    assert failed.raw_output == {"stderr": "/w=="}
