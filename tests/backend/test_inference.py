"""The queue before the computations: bounded, in order, and fair to clients that leave."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from fastapi import Request

from backend.errors import Refusal
from backend.inference import Inference


def request(left: asyncio.Event | None = None) -> Request:
    """A request whose client leaves when `left` is set, or never."""
    waits = left or asyncio.Event()

    async def receive() -> dict[str, str]:
        await waits.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


class Blocker:
    """A computation that runs until it is told to end."""

    def __init__(self) -> None:
        self.started, self.end = threading.Event(), threading.Event()

    def __call__(self) -> str:
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
        assert await inference.run(threading.get_ident, request()) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await inference.run(lambda: 1 // 0, request())

    run(test)


def test_computations_run_one_at_a_time_in_the_order_they_came() -> None:
    order: list[int] = []

    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            tasks = [asyncio.create_task(inference.run(lambda i=i: order.append(i), request())) for i in range(2)]
            await asyncio.sleep(0.05)
            assert order == []
            blocker.end.set()
            await asyncio.gather(*tasks)

    run(test)
    assert order == [0, 1]


def test_a_full_queue_refuses_with_503_and_says_when_to_come_back() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            waiting = [asyncio.create_task(inference.run(int, request())) for _ in range(2)]
            await asyncio.sleep(0.05)
            assert inference.waiting == 2
            with pytest.raises(Refusal) as caught:
                await inference.run(int, request())
            assert caught.value.status_code == 503
            assert caught.value.headers is not None
            assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
            assert "2 computations are waiting" in caught.value.detail
            blocker.end.set()
            assert await asyncio.gather(*waiting) == [0, 0]

    run(test)


def test_a_client_that_leaves_while_waiting_is_not_computed_and_frees_its_place() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            left = asyncio.Event()
            task = asyncio.create_task(inference.run(lambda: ran.append("left"), request(left)))
            await asyncio.sleep(0.05)
            assert inference.waiting == 1
            left.set()
            with pytest.raises(Refusal):
                await task
            assert inference.waiting == 0
        await inference.run(lambda: ran.append("stayed"), request())

    run(test)
    assert ran == ["stayed"]


def test_a_cancelled_request_that_waits_is_not_computed() -> None:
    ran: list[str] = []

    async def test(inference: Inference) -> None:
        async with busy(inference):
            task = asyncio.create_task(inference.run(lambda: ran.append("cancelled"), request()))
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
        assert await inference.run(lambda: "next", request()) == "next"

    run(test)


def test_closing_ends_what_runs_and_refuses_what_waits() -> None:
    async def test(inference: Inference) -> None:
        async with busy(inference) as blocker:
            task = asyncio.create_task(inference.run(int, request()))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(inference.close())
            with pytest.raises(Refusal) as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.status_code == 503
            blocker.end.set()
            await closing

    run(test)
