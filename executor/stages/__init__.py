"""The stages of a job, one class each (`…_stage.py`), and the work that they do."""
