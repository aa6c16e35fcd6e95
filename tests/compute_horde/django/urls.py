"""No pages: what is not found is answered by Django's own page."""

urlpatterns: list[object] = []
