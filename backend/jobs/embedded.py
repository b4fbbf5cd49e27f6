"""The worker that an API process starts for itself: started again when it dies, and ended with it."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress

from backend.log import log
from backend.settings import Settings

TICK = 0.5  # seconds between two looks at it
SHORTEST, LONGEST = 0.5, 30.0  # seconds before it is started again
STEADY = 60.0  # seconds after which it counts as having worked
FAREWELL = 15.0  # seconds to save and hand over

COMMAND = (sys.executable, "-m", "backend.jobs.worker", "--with-parent")


class EmbeddedWorker:
    """Its stdin is a pipe of this process's: whatever ends this process ends the worker, which saves what it runs."""

    def __init__(self, settings: Settings) -> None:
        self.environment = os.environ | settings.environment()
        self.process: subprocess.Popen[bytes] | None = None
        self.watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._spawn()
        self.watching = asyncio.create_task(self._watch())

    def _spawn(self) -> None:
        self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=self.environment)

    async def _watch(self) -> None:
        pause, began = SHORTEST, time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            if self.process is None or (code := self.process.poll()) is None:
                continue
            pause = SHORTEST if time.monotonic() - began > STEADY else min(2 * pause, LONGEST)
            log.warning("the worker has ended and is started again", code=code, seconds=pause)
            await asyncio.sleep(pause)
            began = time.monotonic()
            self._spawn()

    async def close(self) -> None:
        """Lets it save what it runs, and insists when that takes too long."""
        if self.watching is not None:
            self.watching.cancel()
            with suppress(asyncio.CancelledError):
                await self.watching
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            await asyncio.to_thread(self.process.wait, FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
