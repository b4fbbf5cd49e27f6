"""Computation off the event loop: one worker thread a device, and one bounded queue before it.

Models are only ever run on their worker's thread, so what is attached to a model for one request is never seen by
another. Different requests share no batch: the same request with the same seed gives the same bytes, whoever else asks.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event, Lock
from typing import Any, Protocol, TypeVar

from fastapi import Request

from backend.errors import CLIENT_CLOSED_REQUEST, Refusal
from cifs.progress import Cancelled, Progress

T = TypeVar("T")
ANYTHING = Progress("")


class StillWanted(Protocol):
    """The report of a request: raises Cancelled once nobody waits for its result any more."""

    def __call__(self, progress: Progress = ANYTHING) -> None: ...


class Inference:
    """Runs one computation at a time; at most `queue_length` wait.

    A request whose client leaves before its computation has started is never computed, and gives its place free. A
    computation that is running ends at its next `still_wanted()`.
    """

    def __init__(self, queue_length: int) -> None:
        self.queue_length = queue_length
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._admitted = 0  # running and waiting
        self._seconds = 1.0  # a computation, on average

    @property
    def waiting(self) -> int:
        return max(self._admitted - 1, 0)

    async def run(self, work: Callable[[StillWanted], T], request: Request) -> T:
        """The result of `work(still_wanted)`. Raises Refusal (503) when the queue is full."""
        left = Event()
        future: asyncio.Future[Any] = asyncio.wrap_future(self._submit(partial(work, partial(_still_wanted, left))))
        gone: asyncio.Future[Any] = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({future, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise Refusal(CLIENT_CLOSED_REQUEST, "the client closed the connection")
            result: T = future.result()
            return result
        except Cancelled as error:
            raise Refusal(CLIENT_CLOSED_REQUEST, str(error)) from error
        except asyncio.CancelledError:
            if future.cancelled():
                raise Refusal(503, "the server is shutting down", headers={"Retry-After": "10"}) from None
            raise
        finally:
            left.set()
            future.cancel()
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._admitted > self.queue_length:
                raise self._full()
            self._admitted += 1
            self._executor = self._executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
            future = self._executor.submit(self._timed, work)
        future.add_done_callback(self._leave)
        return future

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds += 0.2 * (time.perf_counter() - start - self._seconds)

    def _leave(self, _: Future[T]) -> None:
        with self._lock:
            self._admitted -= 1

    def _full(self) -> Refusal:
        retry_after = min(max(math.ceil(self._admitted * self._seconds), 1), 60)
        waiting = f"{self.queue_length} computations are waiting already, as many as this server lets wait"
        return Refusal(503, f"{waiting}; retry in {retry_after} s", headers={"Retry-After": str(retry_after)})

    async def close(self) -> None:
        """Drops what waits, and waits for what runs."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


def _still_wanted(left: Event, progress: Progress = ANYTHING) -> None:
    if left.is_set():
        raise Cancelled("the client closed the connection")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
