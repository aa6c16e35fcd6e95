"""The progress computed from the engine's events about layers."""

from executor.images.pull_progress import MAX_LAYERS, Layers


def downloading(layer: str, done: object, total: object) -> dict[str, object]:
    detail = {"current": done, "total": total}
    return {"id": layer, "status": "Downloading", "progressDetail": detail}


def test_layers_add_up():
    layers = Layers()
    assert layers.update(downloading("a", 10, 100))
    assert layers.update(downloading("b", 5, 50))
    assert (layers.done, layers.total) == (15, 150)
    assert layers.update({"id": "a", "status": "Download complete"})
    assert not layers.update({"id": "a", "status": "Pull complete"})
    assert (layers.done, layers.total) == (105, 150)


def test_what_says_nothing_of_bytes_changes_nothing():
    layers = Layers()
    news = (
        None,
        {},
        {"status": "Pulling from library/x", "id": "latest"},
        {"status": "Already exists", "id": "a"},
        {"status": "Downloading", "id": "a"},
        downloading("a", "1", "2"),
        downloading("a", 3, 2),
        downloading("a", -1, 2),
        {"id": "b", "status": "Pull complete"},
    )
    assert not any(map(layers.update, news))
    assert (layers.done, layers.total) == (0, 0)


def test_a_registry_of_endless_layers_fills_no_memory():
    layers = Layers()
    for number in range(MAX_LAYERS + 10):
        layers.update(downloading(str(number), 1, 1))
    assert layers.total == MAX_LAYERS
