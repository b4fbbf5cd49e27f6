"""The queue before the computations: bounded, in order, and fair to clients that leave."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

import pytest
from fastapi import Request

from backend.errors import Refusal
from backend.inference import Inference, Speed
from cifs.progress import Progress, Report


def request(left: asyncio.Event | None = None, by: str = "") -> Request:
    """A request of the client at an address, who leaves when `left` is set, or never."""
    waits = left or asyncio.Event()

    async def receive() -> dict[str, str]:
        await waits.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "client": (by, 0)}, receive)


def nothing(report: Report) -> None:
    pass


class Blocker:
    """A computation that runs until it is told to end."""

    def __init__(self) -> None:
        self.started, self.end = threading.Event(), threading.Event()

    def __call__(self, report: Report) -> str:
        self.started.set()
        assert self.end.wait(10)
        return "blocked"


@asynccontextmanager
async def busy(inference: Inference) -> AsyncIterator[Blocker]:
    """The worker is computing throughout the block."""
    blocker = Blocker()
    task = asyncio.create_task(inference.run(request(), blocker))
    await asyncio.to_thread(blocker.started.wait, 10)
    try:
        yield blocker
    finally:
        blocker.end.set()
        with suppress(Refusal):
            await task


def run(test: Callable[[Inference], Awaitable[None]], queue_length: int = 2, max_seconds: float = inf) -> None:
    """A computation of 1 GFLOP is estimated to take a second."""

    async def with_inference() -> None:
        inference = Inference(queue_length, max_seconds)
        inference.speed = Speed(gflops=1.0, overhead=0.0)
        try:
            await test(inference)
        finally:
            await inference.close()

    asyncio.run(with_inference())


def test_results_and_errors_come_back_from_another_thread() -> None:
    async def test(inference: Inference) -> None:
        assert await inference.run(request(), lambda _: threading.get_ident()) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await inference.run(request(), lambda _: 1 // 0)

    run(test)


def test_computations_run_one_at_a_time_in_the_order_they_came() -> None:
    order: list[int] = []

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            tasks = [asyncio.create_task(inference.run(request(), lambda _, i=i: order.append(i))) for i in range(2)]
            await asyncio.sleep(0.05)
            assert order == []
            blocker.end.set()
            await asyncio.gather(*tasks)

    run(test)
    assert order == [0, 1]


def test_a_full_queue_refuses_with_503_and_says_when_to_come_back() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            waiting = [asyncio.create_task(inference.run(request(), nothing)) for _ in range(2)]
            await asyncio.sleep(0.05)
            assert inference.waiting == 2
            with pytest.raises(Refusal) as caught:
                await inference.run(request(), nothing)
            assert caught.value.status_code == 503
            assert caught.value.headers is not None
            assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
            assert "2 computations are waiting" in caught.value.detail
            blocker.end.set()
            assert await asyncio.gather(*waiting) == [None, None]

    run(test)


def test_a_client_that_leaves_while_waiting_is_not_computed_and_frees_its_place() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            left = asyncio.Event()
            task = asyncio.create_task(inference.run(request(left), lambda _: ran.append("left")))
            await asyncio.sleep(0.05)
            assert inference.waiting == 1
            left.set()
            with pytest.raises(Refusal):
                await task
            assert inference.waiting == 0
        await inference.run(request(), lambda _: ran.append("stayed"))

    run(test)
    assert ran == ["stayed"]


def test_a_cancelled_request_that_waits_is_not_computed() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            task = asyncio.create_task(inference.run(request(), lambda _: ran.append("cancelled")))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert inference.waiting == 0

    run(test)
    assert ran == []


def test_a_client_that_leaves_a_running_computation_does_not_wait_for_it() -> None:
    async def test(inference: Inference) -> None:
        left, blocker = asyncio.Event(), Blocker()
        task = asyncio.create_task(inference.run(request(left), blocker))
        await asyncio.to_thread(blocker.started.wait, 10)
        left.set()
        with pytest.raises(Refusal):
            await asyncio.wait_for(task, 5)
        blocker.end.set()
        assert await inference.run(request(), lambda _: "next") == "next"

    run(test)


def test_a_computation_whose_client_left_ends_when_it_next_asks() -> None:
    ended = threading.Event()

    def endless(report: Report) -> None:
        try:
            while True:
                report(Progress("endless"))
                time.sleep(0.01)
        finally:
            ended.set()

    async def test(inference: Inference) -> None:
        left = asyncio.Event()
        task = asyncio.create_task(inference.run(request(left), endless))
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        left.set()
        with pytest.raises(Refusal):
            await task
        assert await asyncio.to_thread(ended.wait, 5)
        await inference.run(request(), nothing)

    run(test)


def test_closing_ends_what_runs_and_refuses_what_waits() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            task = asyncio.create_task(inference.run(request(), nothing))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(inference.close())
            with pytest.raises(Refusal) as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.status_code == 503
            blocker.end.set()
            await closing

    run(test)


class Stepping:
    """A computation that reports every few milliseconds until it is told to end."""

    def __init__(self) -> None:
        self.started, self.end = threading.Event(), threading.Event()
        self.steps, self.thread = 0, 0

    def __call__(self, report: Report) -> str:
        self.thread = threading.get_ident()
        while not self.end.is_set():
            report(Progress("stepping", self.steps))
            self.steps += 1
            self.started.set()
            time.sleep(0.002)
        return "long"


@asynccontextmanager
async def stepping(inference: Inference, gflops: float = 1000.0) -> AsyncIterator[Stepping]:
    """A long computation is under way throughout the block."""
    long = Stepping()
    task = asyncio.create_task(inference.run(request(), long, gflops=gflops))
    await asyncio.to_thread(long.started.wait, 10)
    try:
        yield long
    finally:
        long.end.set()
        with suppress(Refusal):
            await task


def test_a_short_computation_passes_a_long_one_that_runs_and_stands_still_meanwhile() -> None:
    async def test(inference: Inference) -> None:
        async with stepping(inference) as long:

            def short(report: Report) -> tuple[int, int]:
                before = long.steps
                time.sleep(0.1)
                return threading.get_ident(), long.steps - before

            thread, steps = await asyncio.wait_for(inference.run(request(), short, gflops=1.0), 5)
            assert steps == 0
            assert thread != long.thread  # where models of its own are
            assert not long.end.is_set()

    run(test)


def test_one_that_is_as_long_waits() -> None:
    async def test(inference: Inference) -> None:
        async with stepping(inference):
            task = asyncio.create_task(inference.run(request(), nothing, gflops=900.0))
            await asyncio.sleep(0.1)
            assert not task.done()
        await task

    run(test)


def test_a_stream_of_short_ones_leaves_the_long_one_half_the_time() -> None:
    async def test(inference: Inference) -> None:
        async with stepping(inference) as long:
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                shorts = (inference.run(request(), lambda _: time.sleep(0.05), gflops=0.05) for _ in range(2))
                await asyncio.gather(*shorts)
            assert long.steps > 30  # of 2 ms and more, in the half second that is its own

    run(test, queue_length=8)


def test_of_those_that_wait_the_shortest_goes_first_but_none_waits_for_ever() -> None:
    order: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            asked = (("ten seconds", 10.0), ("a quarter", 0.25), ("one second", 1.0))
            tasks = [
                asyncio.create_task(inference.run(request(), lambda _, n=name: order.append(n), gflops=g))
                for name, g in asked
            ]
            await asyncio.sleep(0.5)  # "a quarter" has waited longer than it takes
            late = inference.run(request(), lambda _: order.append("a tenth, but late"), gflops=0.1)
            tasks.append(asyncio.create_task(late))
            await asyncio.sleep(0.05)
            blocker.end.set()
            await asyncio.gather(*tasks)

    run(test, queue_length=8)
    assert order == ["a quarter", "a tenth, but late", "one second", "ten seconds"]


def test_retry_after_is_what_waits_however_long() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            waiting = [asyncio.create_task(inference.run(request(), nothing, gflops=300.0)) for _ in range(2)]
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal) as caught:
                await inference.run(request(), nothing)
            assert 600 <= int((caught.value.headers or {})["Retry-After"]) <= 610
            blocker.end.set()
            await asyncio.gather(*waiting)

    run(test)


def test_what_does_not_end_in_time_is_a_504_and_ends_when_it_next_reports() -> None:
    async def test(inference: Inference) -> None:
        long = Stepping()
        with pytest.raises(Refusal, match="in a job") as caught:
            await inference.run(request(), long, gflops=1.0)
        assert caught.value.status_code == 504
        assert await asyncio.wait_for(inference.run(request(), lambda _: "next"), 5) == "next"

    run(test, max_seconds=0.2)


def test_what_does_not_begin_in_time_is_a_503_and_is_never_computed() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            with pytest.raises(Refusal, match="could not begin within") as caught:
                await inference.run(request(), lambda _: ran.append("late"))
            assert caught.value.status_code == 503
            assert "Retry-After" in (caught.value.headers or {})

    run(test, max_seconds=0.2)
    assert ran == []


def test_closing_ends_what_runs_when_it_next_reports() -> None:
    async def test(inference: Inference) -> None:
        task = asyncio.create_task(inference.run(request(), Stepping(), gflops=1.0))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(inference.close(), 5)
        with pytest.raises(Refusal, match="shutting down"):
            await task

    run(test)


def test_what_was_closed_can_be_asked_again() -> None:
    async def test(inference: Inference) -> None:
        for turn in range(2):
            assert await inference.run(request(), lambda _, turn=turn: turn) == turn
            await inference.close()

    run(test)


def test_speed_is_learned_from_what_was_computed_not_from_what_was_remembered() -> None:
    async def test(inference: Inference) -> None:
        def computed(report: Report) -> None:
            report(Progress("step", 0, 1))
            time.sleep(0.2)

        await inference.run(request(), nothing, gflops=1000.0)
        assert inference.speed.seconds(1.0) == 1.0
        for _ in range(20):
            await inference.run(request(), computed, gflops=0.02)  # ten seconds a GFLOP
        assert 5 < inference.speed.seconds(1.0) < 15

    run(test)


def test_whoever_asks_for_much_at_once_waits_for_it_and_others_do_not() -> None:
    """Once the queue was in order of arrival alone: one script's many came before anybody else's one."""
    order: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            asked = ["script"] * 20 + ["reader"]
            tasks = [
                asyncio.create_task(inference.run(request(by=who), lambda _, who=who: order.append(who), gflops=1.0))
                for who in asked
            ]
            await asyncio.sleep(0.05)
            blocker.end.set()
            await asyncio.gather(*tasks)

    run(test, queue_length=30)
    assert order.index("reader") <= 1


def test_a_full_queue_takes_the_place_of_whoever_has_most_of_it() -> None:
    """Once a script that had filled it had everybody else refused."""

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            script = [asyncio.create_task(inference.run(request(by="script"), lambda _: "script")) for _ in range(4)]
            await asyncio.sleep(0.05)
            reader = asyncio.create_task(inference.run(request(by="reader"), lambda _: "reader"))
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal, match="4 computations are waiting") as refused:
                await inference.run(request(by="script"), nothing)
            assert refused.value.status_code == 503
            blocker.end.set()
            assert await reader == "reader"
            answers = await asyncio.gather(*script, return_exceptions=True)
            assert [*map(str, answers[:3])] == ["script"] * 3
            assert isinstance(answers[3], Refusal)

    run(test, queue_length=4)


def test_nobody_is_displaced_where_all_have_asked_for_as_much() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            waiting = [asyncio.create_task(inference.run(request(by=who), nothing)) for who in "abc"]
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal, match="3 computations are waiting"):
                await inference.run(request(by="d"), nothing)
            blocker.end.set()
            assert await asyncio.gather(*waiting) == [None] * 3

    run(test, queue_length=3)
