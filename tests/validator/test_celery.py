"""The scheduled tasks."""

from validator import celery


def test_every_scheduled_task_exists() -> None:
    celery.app.loader.import_default_modules()
    assert celery.TASKS
    assert set(celery.TASKS) <= set(celery.app.tasks)
