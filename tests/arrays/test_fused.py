"""Fused functions return what they return as they are, for records of any layout, and let gradients through."""

from typing import NamedTuple

import pytest

pytest.importorskip("torch")

import torch

from edgelearn_env.arrays.fused import Fused
from edgelearn_env.errors import CompilerError


class Pair(NamedTuple):
    """A record within a record."""

    number: torch.Tensor
    rest: tuple[torch.Tensor, ...]


def turned(pair: Pair, factor: torch.Tensor) -> Pair:
    """Something that depends on every entry, in float64 and in 64-bit integers that wrap around."""
    count = torch.arange(len(factor)) * -7046029254386353131
    return Pair(torch.exp(pair.number * factor) - 1.0, (pair.rest[0] * count[:, None], pair.number))


def pair(rows: int, by_column: bool, requires_grad: bool = False) -> Pair:
    generator = torch.Generator().manual_seed(rows)
    number = torch.rand((rows, 2), generator=generator, dtype=torch.float64)
    number = number.T.contiguous().T if by_column else number
    return Pair(number.requires_grad_(requires_grad), (torch.arange(2 * rows).reshape(rows, 2),))


def test_records_of_every_layout_become_what_the_function_makes_of_them():
    called = []

    def noted(*records):
        called.append(records)
        return turned(*records)

    fused = Fused(noted)
    for rows, by_column in ((3, False), (3, True), (5, False), (3, False), (3, True)):
        given, factor = pair(rows, by_column), torch.linspace(0.5, 1.5, rows, dtype=torch.float64)[:, None]
        made, expected = fused(given, factor), turned(given, factor)
        assert type(made) is Pair
        torch.testing.assert_close(made.number, expected.number, rtol=1e-14, atol=0.0)
        assert torch.equal(made.rest[0], expected.rest[0])
        assert torch.equal(made.rest[1], given.number)
    # Once for each layout, to be compiled.
    assert len(called) == 3


def test_a_gradient_flows_wherever_one_is_wanted():
    fused, factor = Fused(turned), torch.ones(3, 1, dtype=torch.float64)
    given = pair(3, False, requires_grad=True)
    fused(given, factor).number.sum().backward()
    torch.testing.assert_close(given.number.grad, torch.exp(given.number.detach()))
    with torch.no_grad():
        assert not fused(given, factor).number.requires_grad


def test_what_cannot_be_compiled_is_a_sentence_and_is_tried_again(monkeypatch):
    def refusing(*_, **__):
        def call(*_):
            raise RuntimeError("no compiler here\nmuch more")

        return call

    fused, given = Fused(turned), (pair(3, False), torch.ones(3, 1, dtype=torch.float64))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", refusing)
        with pytest.raises(CompilerError, match=r"leave out compiled=True: no compiler here$"):
            fused(*given)
    assert torch.equal(fused(*given).rest[0], turned(*given).rest[0])
