"""A job's uuid has one spelling."""

import pytest

from compute_horde.job_uuid import is_job_uuid

UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


def test_lower_case_and_hyphenated_is_the_spelling():
    assert is_job_uuid(UUID)


@pytest.mark.parametrize(
    "text",
    ["", "1", UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", UUID + "\n", UUID + "/", "../x"],
)
def test_nothing_else_is(text):
    assert not is_job_uuid(text)
