"""Random numbers are a function of their seeds; precision is what was asked for."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cifs.precision import autocast, generator, instructions

seeds = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3)


def numbers(*of: int) -> list[float]:
    return torch.rand(4, generator=generator(*of)).tolist()


def test_instructions_are_the_widest_there_are_and_say_what_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True, "architecture": "x"})
    assert instructions() == "avx512_bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": False, "architecture": "aarch64"})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert instructions() == "aarch64, held to AVX2"


@given(of=seeds)
def test_the_same_seeds_give_the_same_numbers(of: list[int]) -> None:
    assert numbers(*of) == numbers(*of)


def test_neighbouring_seeds_purposes_and_steps_share_nothing() -> None:
    every = [numbers(*of) for of in itertools.product(range(5), range(4), range(50))]
    assert len({tuple(row) for row in every}) == len(every)
    table = torch.tensor(every)
    assert table.mean() == pytest.approx(0.5, abs=0.02)
    assert torch.corrcoef(torch.stack([table[:-1, 0], table[1:, 0]]))[0, 1].abs() < 0.1


def test_the_order_of_seeds_counts() -> None:
    assert numbers(1, 2) != numbers(2, 1) != numbers(1, 2, 0)


def test_bf16_is_on_request_and_only_within_the_block() -> None:
    a = torch.randn(4, 4)
    for precision, expected in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast("cpu", precision):
            assert (a @ a).dtype == expected
    assert (a @ a).dtype == torch.float32
