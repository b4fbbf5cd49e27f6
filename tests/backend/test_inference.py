"""The queue before the computations: bounded, in order, and fair to clients that leave."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from fastapi import Request

from backend.errors import Refusal
from backend.inference import Inference, StillWanted


def request(left: asyncio.Event | None = None) -> Request:
    """A request whose client leaves when `left` is set, or never."""
    waits = left or asyncio.Event()

    async def receive() -> dict[str, str]:
        await waits.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def nothing(still_wanted: StillWanted) -> None:
    pass


class Blocker:
    """A computation that runs until it is told to end."""

    def __init__(self) -> None:
        self.started, self.end = threading.Event(), threading.Event()

    def __call__(self, still_wanted: StillWanted) -> str:
        self.started.set()
        assert self.end.wait(10)
        return "blocked"


@asynccontextmanager
async def busy(inference: Inference) -> AsyncIterator[Blocker]:
    """The worker is computing throughout the block."""
    blocker = Blocker()
    task = asyncio.create_task(inference.run(blocker, request()))
    await asyncio.to_thread(blocker.started.wait, 10)
    try:
        yield blocker
    finally:
        blocker.end.set()
        with suppress(Refusal):
            await task


def run(test: Callable[[Inference], Awaitable[None]], queue_length: int = 2) -> None:
    async def with_inference() -> None:
        inference = Inference(queue_length)
        try:
            await test(inference)
        finally:
            await inference.close()

    asyncio.run(with_inference())


def test_results_and_errors_come_back_from_another_thread() -> None:
    async def test(inference: Inference) -> None:
        assert await inference.run(lambda _: threading.get_ident(), request()) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await inference.run(lambda _: 1 // 0, request())

    run(test)


def test_computations_run_one_at_a_time_in_the_order_they_came() -> None:
    order: list[int] = []

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            tasks = [asyncio.create_task(inference.run(lambda _, i=i: order.append(i), request())) for i in range(2)]
            await asyncio.sleep(0.05)
            assert order == []
            blocker.end.set()
            await asyncio.gather(*tasks)

    run(test)
    assert order == [0, 1]


def test_a_full_queue_refuses_with_503_and_says_when_to_come_back() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            waiting = [asyncio.create_task(inference.run(nothing, request())) for _ in range(2)]
            await asyncio.sleep(0.05)
            assert inference.waiting == 2
            with pytest.raises(Refusal) as caught:
                await inference.run(nothing, request())
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
            task = asyncio.create_task(inference.run(lambda _: ran.append("left"), request(left)))
            await asyncio.sleep(0.05)
            assert inference.waiting == 1
            left.set()
            with pytest.raises(Refusal):
                await task
            assert inference.waiting == 0
        await inference.run(lambda _: ran.append("stayed"), request())

    run(test)
    assert ran == ["stayed"]


def test_a_cancelled_request_that_waits_is_not_computed() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            task = asyncio.create_task(inference.run(lambda _: ran.append("cancelled"), request()))
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
        task = asyncio.create_task(inference.run(blocker, request(left)))
        await asyncio.to_thread(blocker.started.wait, 10)
        left.set()
        with pytest.raises(Refusal):
            await asyncio.wait_for(task, 5)
        blocker.end.set()
        assert await inference.run(lambda _: "next", request()) == "next"

    run(test)


def test_a_computation_whose_client_left_ends_when_it_next_asks() -> None:
    ended = threading.Event()

    def endless(still_wanted: StillWanted) -> None:
        try:
            while True:
                still_wanted()
                time.sleep(0.01)
        finally:
            ended.set()

    async def test(inference: Inference) -> None:
        left = asyncio.Event()
        task = asyncio.create_task(inference.run(endless, request(left)))
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        left.set()
        with pytest.raises(Refusal):
            await task
        assert await asyncio.to_thread(ended.wait, 5)
        await inference.run(nothing, request())

    run(test)


def test_closing_ends_what_runs_and_refuses_what_waits() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            task = asyncio.create_task(inference.run(nothing, request()))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(inference.close())
            with pytest.raises(Refusal) as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.status_code == 503
            blocker.end.set()
            await closing

    run(test)
