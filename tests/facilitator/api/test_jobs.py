"""Reading and listing jobs, and the API's OpenAPI description."""

import json
import time
import uuid as uuids

import pytest
from django.test import AsyncClient, RequestFactory

from facilitator import models
from facilitator.api import jobs
from facilitator.jobs import store
from tests.compute_horde.vectors import VECTORS
from tests.peers.api_user import job_body

READS = [r for r in VECTORS["sdk_http_requests"] if r["path"].startswith("/api/v1/jobs/")]


async def test_reads_of_the_published_sdk_are_answered(user, line):
    uuid = (await user.create()).json()["uuid"]
    for recorded in READS:
        path = recorded["path"].replace("3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11", uuid)
        headers = {"Realm": "mainnet", "SubnetID": "12"}
        assert (await user.get(path, headers)).status_code == 200
    page = (await user.get(READS[1]["path"])).json()
    assert page == VECTORS["facilitator_job_list_response_example"] | {
        "results": [await user.job(uuid)]
    }


async def test_a_job_is_found_by_its_owner_only(user, stranger, line):
    uuid = (await user.create()).json()["uuid"]
    assert (await user.get(f"/api/v1/jobs/{uuid}/")).status_code == 200
    assert (await user.get(f"/api/v1/jobs/{uuid.upper()}/")).status_code == 200
    for who, what in ((stranger, uuid), (user, uuids.uuid4()), (user, "x"), (user, "0" * 99)):
        answer = await who.get(f"/api/v1/jobs/{what}/")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert (await stranger.get("/api/v1/jobs/")).json()["results"] == []


async def test_pages_follow_each_other_newest_first(user, line, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    made = [(await user.create()).json()["uuid"] for _ in range(5)]
    path, seen = "/api/v1/jobs/?page=1&page_size=2", []
    while path:
        page = (await user.get(path)).json()
        assert page["count"] == 5
        seen.append([job["uuid"] for job in page["results"]])
        path = page["next"] and page["next"].removeprefix("http://testserver")
    assert seen == [made[4:2:-1], made[2:0:-1], made[:1]]
    assert page["previous"] == "http://testserver/api/v1/jobs/?page=2&page_size=2"


async def test_a_list_too_long_to_count_is_read_to_its_end(user, line, settings, monkeypatch):
    settings.ALLOWED_HOSTS = ["testserver"]
    monkeypatch.setattr(store, "COUNTED_JOBS", 2)
    made = [(await user.create()).json()["uuid"] for _ in range(6)]
    path, seen, counts = "/api/v1/jobs/?page=1&page_size=2", [], []
    while path:
        page = (await user.get(path)).json()
        counts.append(page["count"])
        seen += [job["uuid"] for job in page["results"]]
        path = page["next"] and page["next"].removeprefix("http://testserver")
    assert seen == made[::-1]
    assert counts[-1] == 6
    assert counts[0] > 2
    assert counts[1] > 4
    beyond = await user.get("/api/v1/jobs/?page=4&page_size=2")
    assert beyond.status_code == 404


async def test_a_request_that_cannot_be_read_cuts_no_list_off(user, line):
    made = [(await user.create()).json()["uuid"] for _ in range(3)]
    await models.Job.objects.filter(uuid=made[1]).aupdate(request='{"uuid": 7}')
    await models.JobEvent.objects.filter(job_id=made[0]).aupdate(body="no report")
    page = (await user.get("/api/v1/jobs/")).json()
    assert [job["uuid"] for job in page["results"]] == made[::-1]
    assert page["results"][1]["docker_image"] == ""
    for uuid in made:
        alone = (await user.get(f"/api/v1/jobs/{uuid}/")).json()
        assert [entry["status"] for entry in alone["status_history"]] == ["sent"]


async def test_a_page_that_is_not_there_is_not_found(user, line):
    await user.create()
    for page in ("2", "0", "-1", "99999999999999999999"):
        answer = await user.get(f"/api/v1/jobs/?page={page}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})
    answer = await user.get("/api/v1/jobs/?page=x")
    assert answer.status_code == 400
    assert list(answer.json()) == ["page"]


async def test_an_empty_list_has_one_page(user):
    assert (await user.get("/api/v1/jobs/")).json() == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }


@pytest.mark.parametrize(("asked", "size"), [(0, 3), (-5, 3), (10**6, 4), (2, 2)])
async def test_page_sizes_are_bounded(asked, size, user, line, monkeypatch):
    monkeypatch.setattr(jobs, "PAGE_SIZE", 3)
    monkeypatch.setattr(jobs, "MAX_PAGE_SIZE", 4)
    for _ in range(5):
        await user.create()
    page = (await user.get(f"/api/v1/jobs/?page_size={asked}")).json()
    assert len(page["results"]) == size


async def test_of_a_page_only_a_few_jobs_are_in_memory_at_once(user, line, monkeypatch):
    views, sizes = jobs.store.job_views_json, []

    def counted(uuids, client):
        sizes.append(len(uuids))
        return views(uuids, client)

    monkeypatch.setattr(jobs.store, "job_views_json", counted)
    monkeypatch.setattr(jobs, "JOBS_AT_ONCE", 2)
    uuids = [(await user.create()).json()["uuid"] for _ in range(5)]
    page = (await user.get("/api/v1/jobs/")).json()
    assert [job["uuid"] for job in page["results"]] == uuids[::-1]
    assert sizes == [2, 2, 1]


async def test_jobs_are_filtered_by_uuid_and_tag(user, line):
    a, b, c = [(await user.create(tag=tag)).json()["uuid"] for tag in ("x", "x", "y")]

    async def found(query: str) -> list[str]:
        return [job["uuid"] for job in (await user.get(f"/api/v1/jobs/?{query}")).json()["results"]]

    assert await found("tag=x") == [b, a]
    assert await found(f"uuid={a}&uuid={c}") == [c, a]
    assert await found(f"uuid={c}&tag=x") == []
    assert (await user.get("/api/v1/jobs/?uuid=x")).status_code == 400


async def test_the_api_describes_itself():
    client = AsyncClient()
    described = json.loads((await client.get("/api/openapi.json")).content)
    assert set(described["paths"]) == {
        "/auth/nonce",
        "/auth/login",
        "/api/v1/job-docker/",
        "/api/v1/jobs/",
        "/api/v1/jobs/{job_uuid}/",
        "/api/v1/jobs/{job_uuid}/events",
        "/api/v1/jobs/{job_uuid}/cancel/",
        "/api/v1/jobs/{job_uuid}/logs",
        "/api/v1/cheated-job/",
    }
    assert "executor_class" in described["components"]["schemas"]["JobBody"]["properties"]
    assert (await client.get("/api/docs")).status_code == 200


async def test_everything_but_the_login_needs_a_token():
    client = AsyncClient()
    for path in ("/api/v1/jobs/", f"/api/v1/jobs/{uuids.uuid4()}/", "/api/v1/jobs/x/events"):
        assert (await client.get(path)).status_code == 401
    for path in ("/api/v1/job-docker/", "/api/v1/cheated-job/"):
        answer = await client.post(path, "{}", content_type="application/json")
        assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/auth/login", "/api/v1/job-docker/", "/api/v1/cheated-job/"])
@pytest.mark.parametrize("field", ["nonce", "tag", "details"])
async def test_half_a_surrogate_pair_is_refused_wherever_it_stands(path, field, user, line):
    answer = await user.post(path, json.dumps({field: "\ud800"}))
    assert (answer.status_code, answer.json()) == (400, {"detail": "Cannot parse request body"})


async def test_whole_surrogate_pairs_are_text(user, line):
    uuid = (await user.create(tag="\N{PIG}", args=["\\ud800", "\N{PIG}"])).json()["uuid"]
    job = await user.job(uuid)
    assert (job["tag"], job["args"]) == ("\N{PIG}", ["\\ud800", "\N{PIG}"])


async def test_odd_questions_are_answered(user, line):
    answer = await user.get("/api/v1/jobs/?tag=%00")
    assert (answer.status_code, list(answer.json())) == (400, ["tag"])
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.report(uuid, "completed")
    events = await user.get(f"/api/v1/jobs/{uuid}/events", {"Last-Event-ID": "9" * 5000})
    assert events.status_code == 200
    assert b"completed" in b"".join([chunk async for chunk in events.streaming_content])


@pytest.mark.parametrize(
    ("hosts", "following"),
    [(["*"], "/api/v1/jobs/?page=2"), (["x.example"], "http://x.example/api/v1/jobs/?page=2")],
)
def test_nobody_is_sent_to_a_host_that_anybody_may_make_up(hosts, following, settings):
    settings.ALLOWED_HOSTS = hosts
    request = RequestFactory().get("/api/v1/jobs/?page=1", headers={"Host": "x.example"})
    assert jobs._page_url(request, 2) == following


FAULTY = {
    "env": {f"K{n}": 1 for n in range(40_000)},
    "args": [1] * 49_000,
    "volumes": [{"volume_type": "inline", "contents": 1}] * 1000,
    "uploads": [{"output_upload_type": "single_file_put"}] * 1000,
    "patterns": {
        "volumes": [
            {"volume_type": "huggingface_volume", "repo_id": "a/b", "allow_patterns": [1] * 49_000}
        ]
    },
    "forms": {
        "uploads": [
            {
                "output_upload_type": "single_file_post",
                "url": "https://a.example/",
                "relative_path": "x",
                "form_fields": {f"K{n}": 1 for n in range(40_000)},
            }
        ]
    },
    "names": {"x" * 400_000: 1, "env": {"x" * 400_000: 1}},
}


@pytest.mark.parametrize("name", FAULTY)
async def test_a_body_with_thousands_of_faults_is_answered_briefly_and_at_once(name, user, line):
    found = FAULTY[name]
    change = found if name in ("patterns", "forms", "names") else {name: found}
    text = json.dumps(job_body() | change, separators=(",", ":"))
    headers = user.sign_job(job_body())
    assert (await user.post("/api/v1/job-docker/", "{}", headers)).status_code == 400
    began = time.thread_time()
    answer = await user.post("/api/v1/job-docker/", text, headers)
    spent = time.thread_time() - began
    assert answer.status_code == 400
    assert len(answer.content) < 16_384
    # While the event loop is busy no other request is served.
    assert spent < 0.25


async def test_at_most_twenty_faults_are_listed(user, line):
    wrong = {field: [] for field in job_body()} | {f"x{n}": 1 for n in range(40)}
    streaming = {"streaming_details": {"public_key": 1, "executor_ip": 1}}
    volume = {"volume_type": "single_file", "url": 1, "relative_path": 1}
    wrong |= streaming | {"tag": 1, "uploads": 1, "volumes": [volume] * 9}
    wrong |= {f"{name}_time_limit": "x" for name in ("download", "upload", "execution")}
    answer = await user.post("/api/v1/job-docker/", wrong)
    errors = answer.json()
    assert answer.status_code == 400
    assert len(errors) <= 21
