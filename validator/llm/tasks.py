"""Celery tasks that keep prompts and answers ready; the work is in the modules beside."""

from celery import shared_task

from validator.config import config
from validator.llm import steps


@shared_task
def generate_prompts() -> None:
    """Have series of prompts made on the trusted miner."""
    steps.run_step("generation", config)


@shared_task
def sample_prompts() -> None:
    """Draw prompts from the series, and pack them into workloads."""
    steps.run_step("sampling", config)


@shared_task
def answer_workloads() -> None:
    """Have workloads answered on the trusted miner."""
    steps.run_step("answering", config)
