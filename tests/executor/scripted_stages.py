"""Stages that record their hooks, and a connection that records the messages sent on it."""

import asyncio

from compute_horde.vocabulary import Stage
from executor.stages.stage_list import JobStage


class ScriptedStage(JobStage):
    """Notes each hook in `calls`; `run` may hang, raise, or return a message."""

    def __init__(
        self, calls, label, *, name=Stage.EXECUTION, raises=None, message=None, hangs=False
    ):
        self.name = name
        self.reached = asyncio.Event()
        self._calls = calls
        self._label = label
        self._raises = raises
        self._message = message
        self._hangs = hangs

    def prestart(self, context):
        self._calls.append(f"prestart {self._label}")

    async def run(self, context):
        self._calls.append(f"run {self._label}")
        self.reached.set()
        if self._hangs:
            await asyncio.sleep(60)
        if self._raises:
            raise self._raises
        return self._message

    async def stop(self, error):
        self._calls.append(f"stop {self._label}")
        return error

    def clean_up(self):
        self._calls.append(f"clean up {self._label}")


class RecordingSocket:
    """Takes the place of the connection to the miner."""

    def __init__(self, calls):
        self.sent = []
        self._calls = calls

    async def send(self, message):
        self.sent.append(message)
        self._calls.append(f"send {type(message).__name__}")
