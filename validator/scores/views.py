"""The public addresses of explanations, each signed by the validator."""

from django.http import HttpRequest, JsonResponse

from validator.scores.models import Score

HOTKEY = r"(?P<hotkey>[1-9A-Za-z]{1,64})"


def explanation(request: HttpRequest, hotkey: str, cycle_start: str | None = None) -> JsonResponse:
    """A miner's score of a cycle, or of the newest one: the document's text and its signature."""
    if request.method not in ("GET", "HEAD"):
        return JsonResponse({"detail": "only GET"}, status=405)
    scores = Score.objects.filter(hotkey=hotkey)
    if cycle_start is not None:
        scores = scores.filter(cycle__cycle_start=int(cycle_start))
    score = scores.order_by("-cycle__cycle_start").first()
    if score is None:
        detail = "no score of this hotkey; is it registered, and the cycle its first block?"
        return JsonResponse({"detail": detail}, status=404)
    return JsonResponse({"document": score.document, "signature": score.signature})
