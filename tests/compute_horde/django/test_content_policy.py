"""Pages of the admin tell browsers to load nothing from elsewhere; other pages do not."""

from django.http import HttpResponse
from django.test import RequestFactory

from compute_horde.django.content_policy import HEADER, POLICY, content_policy
from compute_horde.django.settings import MIDDLEWARE


def test_pages_of_the_admin_have_the_policy(rf: RequestFactory) -> None:
    view = content_policy(lambda request: HttpResponse())
    assert view(rf.get("/admin/login/")).headers[HEADER] == POLICY
    assert HEADER not in view(rf.get("/health")).headers
    assert "unsafe" not in POLICY
    assert f"{content_policy.__module__}.content_policy" in MIDDLEWARE


async def test_an_asynchronous_view_needs_no_thread_for_it(rf: RequestFactory) -> None:
    async def page(request: object) -> HttpResponse:
        return HttpResponse(headers={HEADER: "its own"})

    answer = await content_policy(page)(rf.get("/admin/"))
    assert answer.headers[HEADER] == "its own"
