"""Functions of tensors whose operations torch's compiler fuses into few passes over memory."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.errors import CompilerError


class Fused:
    """A pure function of records of tensors, compiled by `torch.compile` when it is first called.

    Eager torch passes through memory once for every operation. Here the function is called once with tensors that note
    what is done to them, and that list is compiled: it takes about half a minute, again for each layout of arguments in
    memory, and needs a C++ compiler for a CPU, Triton for a GPU. Results are the function's to rounding. Where a
    gradient has to flow through them, the function is called as it is.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._compiled: dict[tuple[Any, ...], tuple[Callable[..., Sequence[torch.Tensor]], Any]] = {}

    def __call__(self, *records: Any) -> Any:
        """What the function returns.

        Raises:
            CompilerError: torch could not compile it here.
        """
        arrays = list(arrays_of(records))
        if torch.is_grad_enabled() and any(array.requires_grad for array in arrays):
            return self._function(*records)
        layout = tuple((array.shape, array.stride(), array.dtype) for array in arrays)
        # Whether gradients are recorded, and whether they ever can be, is part of what torch compiles.
        with torch.inference_mode(False), torch.no_grad():
            if layout not in self._compiled:
                self._compiled[layout] = _compiled(self._function, records)
            compiled, form = self._compiled[layout]
            return _formed(form, compiled(*arrays))


def _compiled(
    function: Callable[..., Any], records: tuple[Any, ...]
) -> tuple[Callable[..., Sequence[torch.Tensor]], Any]:
    """The function, from arrays to arrays, and the form of the record that it returns."""
    forms = []

    def flat(*arrays: torch.Tensor) -> list[torch.Tensor]:
        made = function(*_formed(records, arrays))
        forms.append(mapped(lambda _: None, made))
        return list(arrays_of(made))

    arrays = list(arrays_of(records))
    compiled = torch.compile(make_fx(flat)(*arrays), fullgraph=True, dynamic=False, options=_OPTIONS)
    try:
        compiled(*arrays)
    except Exception as error:
        # Of many kinds, by what is missing; the first line says it but for one that names the backend.
        lines = [line for line in str(error).splitlines() if line.strip() and not line.endswith("raised:")]
        reason = (lines or [type(error).__name__])[0]
        raise CompilerError(f"torch could not compile this here; leave out compiled=True: {reason}") from error
    return compiled, forms[0]


def _formed(form: Any, arrays: Sequence[torch.Tensor]) -> Any:
    """A record of that form out of arrays in their order."""
    following = iter(arrays)
    return mapped(lambda _: next(following), form)


_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    # Else products of counters and 64-bit numbers become index arithmetic of 32 bits, which Triton refuses.
    "constant_and_index_propagation": False,
    # Without vector types: GCC 12 makes code of theirs that ends the process where a batch does not fill one.
    "cpp.simdlen": 1,
}
