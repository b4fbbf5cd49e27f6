"""Computation off the event loop: one at a time on the device, from one bounded queue.

The shortest goes first, by its estimated cost, but none waits for ever: the queue is ordered by arrival plus estimated
seconds. Those count as often as their caller has computations here already, so that whoever asks for many at once waits
for them and others do not; and where the queue is full, the last of whoever has most in it makes room. A computation
that runs lets shorter ones pass whenever it reports: it stands still inside `report` while they run on the thread
beside. Every thread has models of its own (`Lab.model`), so what is attached to a model for one request is never seen
by another. Different requests share no batch: the same request with the same seed gives the same bytes, whoever else
asks.
"""

import asyncio
import math
import time
from bisect import insort
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event, RLock
from typing import Any, TypeVar

from fastapi import Request

from backend.callers import Caller, Quota, caller_of
from backend.errors import CLIENT_CLOSED_REQUEST, Refusal
from cifs.progress import Cancelled, Progress, Report

T = TypeVar("T")
Work = Callable[[Report], T]
SHORTER = 2  # a computation is let pass if that many of it would fit into what is left
SHARE = 0.5  # of the time that passes, at least so much is the one's that lets others pass
MEMORY = 0.8  # of the speed measured so far, with each computation


@dataclass(order=True)
class Computation:
    """What was asked for, from its arrival to its end."""

    due: float  # the order: arrival plus estimated seconds
    number: int  # which decides between equals
    caller: Caller = field(compare=False)
    work: Work[Any] = field(compare=False)
    gflops: float = field(compare=False)
    seconds: float = field(compare=False)  # estimated
    deadline: float = field(compare=False)
    result: Future[Any] = field(compare=False, default_factory=Future)
    unwanted: Event = field(compare=False, default_factory=Event)  # the client left
    began: float = field(compare=False, default=math.inf)
    aside: float = field(compare=False, default=0.0)  # seconds it stood still for others
    steps: int = field(compare=False, default=0)  # reported, of something countable

    def own_seconds(self) -> float:
        """How long it has computed."""
        return max(time.monotonic() - self.began - self.aside, 0.0)

    def left(self) -> float:
        """Seconds, estimated: by what it costs; and what ran long is expected to run on."""
        ran = self.own_seconds()
        return max(self.seconds - ran, ran / 2)


class Speed:
    """Estimates seconds from GFLOP, and learns from what was computed."""

    def __init__(self, gflops: float = 20.0, overhead: float = 0.05) -> None:
        self.overhead = overhead  # seconds of a computation without any steps
        self._gflops, self._seconds = gflops, 1.0

    def seconds(self, gflops: float) -> float:
        return self.overhead + gflops * self._seconds / self._gflops

    def learn(self, gflops: float, seconds: float) -> None:
        self._gflops, self._seconds = MEMORY * self._gflops + gflops, MEMORY * self._seconds + seconds


class TooLate(Cancelled):
    """It would take longer than anybody is to wait."""


class Displaced(Cancelled):
    """Its caller has most of a full queue, and somebody else came."""


class ShuttingDown(Cancelled):
    """The server ends."""


class Inference:
    """Runs one computation at a time; at most `queue_length` wait, and none lasts longer than `max_seconds` in all.

    A request whose client leaves before its computation has started is never computed, and gives its place free. A
    computation that is running ends when it next reports.
    """

    def __init__(self, queue_length: int, max_seconds: float = math.inf, quota: Quota | None = None) -> None:
        self.queue_length, self.max_seconds, self.quota = queue_length, max_seconds, quota
        self.speed = Speed()
        self.closed = False
        self._executor: ThreadPoolExecutor | None = None
        self._beside: ThreadPoolExecutor | None = None
        self._lock = RLock()  # a result that is set leaves the queue within the same lock
        self._queue: list[Computation] = []
        self._running: list[Computation] = []  # the last of them computes, the one before stands still
        self._numbers = 0
        self._admitted = 0  # running and waiting

    @property
    def computing(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def run(self, request: Request, work: Work[T], *, gflops: float = 0.0) -> T:
        """The result of `work(report)`, estimated to cost so much. Raises Refusal: 503 where the queue is full or it
        would not begin in time, 504 where it does not end in time, 429 where the key's quota is used up."""
        caller = caller_of(request.scope)
        if self.quota is not None:
            self.quota.check(caller)
        computation = self._admit(caller, work, gflops)
        future: asyncio.Future[Any] = asyncio.wrap_future(computation.result)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_disconnected(request))
        patience = None if math.isinf(self.max_seconds) else self.max_seconds
        try:
            done, _ = await asyncio.wait({future, gone}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise self._late(computation)
            if not future.done():
                raise Refusal(CLIENT_CLOSED_REQUEST, "the client closed the connection")
            result: T = future.result()
            return result
        except TooLate:
            raise self._late(computation) from None
        except Displaced:
            raise self._full() from None
        except ShuttingDown:
            raise self._shutting_down() from None
        except Cancelled as error:
            raise Refusal(CLIENT_CLOSED_REQUEST, str(error)) from error
        except asyncio.CancelledError:
            if future.cancelled():
                raise self._shutting_down() from None
            raise
        finally:
            if self.quota is not None:
                self.quota.charge(caller, computation.own_seconds())
            computation.unwanted.set()
            future.cancel()
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    def _admit(self, caller: Caller, work: Work[Any], gflops: float) -> Computation:
        seconds, now = self.speed.seconds(gflops), time.monotonic()
        with self._lock:
            if self.closed:
                raise self._shutting_down()
            if self._admitted > self.queue_length:
                self._make_room(caller)
            self._admitted += 1
            self._numbers += 1
            deadline, turns = now + self.max_seconds, 1 + self._of(caller)
            due = now + turns * seconds
            computation = Computation(due, self._numbers, caller, work, gflops, seconds, deadline)
            insort(self._queue, computation)
            self._executor = self._executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
            self._executor.submit(self._turn)
        computation.result.add_done_callback(partial(self._leave, computation))
        return computation

    def _of(self, caller: Caller) -> int:
        """How many computations of theirs run or wait."""
        return sum(each.caller == caller for each in [*self._running, *self._queue])

    def _make_room(self, caller: Caller) -> None:
        """Drops the last of whoever has most waiting. Raises Refusal where nobody has more than this caller would."""
        last = max(reversed(self._queue), key=lambda each: self._of(each.caller), default=None)
        if last is None or self._of(last.caller) <= self._of(caller) + 1:
            raise self._full()
        last.result.set_exception(Displaced())

    def _turn(self) -> None:
        """Runs what is due first. There is a turn for each that was admitted; what passed another needs none."""
        if (computation := self._next()) is not None:
            self._compute(computation, partial(self._let_pass, computation))

    def _next(self, within: float = math.inf) -> Computation | None:
        """The first to be computed, of those that would take at most `within` seconds."""
        with self._lock:
            for computation in [each for each in self._queue if each.seconds <= within]:
                self._queue.remove(computation)
                if computation.result.set_running_or_notify_cancel():
                    return computation
        return None

    def _compute(self, computation: Computation, let_pass: Callable[[], None]) -> None:
        computation.began = time.monotonic()
        self._running.append(computation)
        try:
            result = computation.work(partial(self._report, computation, let_pass))
        except BaseException as error:
            computation.result.set_exception(error)
        else:
            self._learn(computation)
            computation.result.set_result(result)
        finally:
            self._running.remove(computation)

    def _learn(self, computation: Computation) -> None:
        """From what was computed step by step alone: what was remembered costs nothing."""
        if computation.gflops and computation.steps:
            self.speed.learn(computation.gflops, computation.own_seconds())

    def _report(self, computation: Computation, let_pass: Callable[[], None], progress: Progress) -> None:
        """The report of a computation: lets shorter ones pass, and raises Cancelled once nobody waits for it."""
        computation.steps += progress.total is not None
        let_pass()
        if self.closed:
            raise ShuttingDown
        if computation.unwanted.is_set():
            raise Cancelled("the client closed the connection")
        if time.monotonic() > computation.deadline:
            raise TooLate

    def _let_pass(self, computation: Computation) -> None:
        """Stands still while shorter ones are computed on the thread beside, for at most its share of the time."""
        while self._queue and not self.closed:
            ran = computation.own_seconds()
            if computation.aside * SHARE > ran * (1 - SHARE) + self.speed.overhead:
                return
            if (shorter := self._next(within=computation.left() / SHORTER)) is None:
                return
            began = time.monotonic()
            self._beside = self._beside or ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference-beside")
            self._beside.submit(self._compute, shorter, _stay).result()
            computation.aside += time.monotonic() - began

    def _leave(self, computation: Computation, _: Future[Any]) -> None:
        with self._lock:
            self._admitted -= 1
            if computation in self._queue:  # its client left before it began
                self._queue.remove(computation)

    def seconds_of_work(self) -> float:
        """Estimated, of all that runs and waits."""
        return sum(c.left() for c in [*self._running]) + sum(c.seconds for c in [*self._queue])

    def _full(self) -> Refusal:
        waiting = f"{self.queue_length} computations are waiting already, as many as this server lets wait"
        return self._busy(503, waiting)

    def _late(self, computation: Computation) -> Refusal:
        allowed = f"within {self.max_seconds:g} s, as long as a request may take"
        if computation.began == math.inf:
            return self._busy(503, f"the computation could not begin {allowed}")
        return Refusal(504, f"the computation did not end {allowed}; ask for less, or in a job (POST /jobs)")

    def _busy(self, status: int, why: str) -> Refusal:
        retry_after = max(math.ceil(self.seconds_of_work()), 1)
        return Refusal(status, f"{why}; retry in {retry_after} s", headers={"Retry-After": str(retry_after)})

    def _shutting_down(self) -> Refusal:
        return Refusal(503, "the server is shutting down", headers={"Retry-After": "10"})

    async def close(self) -> None:
        """Drops what waits; what runs ends when it next reports. What is asked for after that begins anew."""
        with self._lock:
            self.closed = True
            dropped, self._queue = self._queue, []
            executors = [each for each in (self._executor, self._beside) if each is not None]
            self._executor = self._beside = None
        for computation in dropped:
            computation.result.cancel()
        for executor in executors:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
        self.closed = False


def _stay() -> None:
    """Of a computation that lets nobody pass: it is short."""


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
