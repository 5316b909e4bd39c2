"""Numpy's own loops over numbers, for compiled code to call: elementary functions to the bit that arrays have them.

Numpy's exponentials, logarithms and tangents are faster than compiled ones, and those differ in the last bit. A ufunc
names its loops in the record that `numpy/ufuncobject.h` declares for extensions; compiled code is handed their address.
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from edgelearn_env.arrays.compiled_loops import compiled


class _UfuncRecord(ctypes.Structure):
    """The head of `PyUFuncObject`, behind what every object begins with."""

    _fields_ = (
        ("num_inputs", ctypes.c_int),
        ("num_outputs", ctypes.c_int),
        ("num_arguments", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("loops", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("num_loops", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
    )


def loop_of(ufunc: np.ufunc) -> np.ndarray:
    """The loop of a function of one float64 number: its address and that of the data it is called with, (2,) int64.

    Addresses are good for this process only.

    Raises:
        ImportError: numpy lays its functions out in another way.
    """
    record = _UfuncRecord.from_address(id(ufunc) + object.__basicsize__)
    counts = (record.num_inputs, record.num_outputs, record.num_arguments, record.num_loops)
    if counts != (1, 1, 2, len(ufunc.types)) or record.name != ufunc.__name__.encode():
        raise ImportError(f"numpy {np.__version__} does not show the loop of {ufunc.__name__}")
    index = ufunc.types.index("d->d")
    data = record.data[index] if record.data else None
    return np.array([record.loops[index], data or 0], dtype=np.int64)


def _calling(typing_context: Any, loop: Any, data: Any, address: Any, count: Any) -> Any:
    """Call `void loop(char **arguments, intp *dimensions, intp *strides, void *data)` on numbers in place."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loop, data, address, count = arguments
        number, text = ir.IntType(64), ir.IntType(8).as_pointer()
        places = cgutils.alloca_once(builder, text, size=2)
        sizes = cgutils.alloca_once(builder, number, size=3)
        start = builder.inttoptr(address, text)
        for index in range(2):
            builder.store(start, builder.gep(places, [ir.Constant(number, index)]))
        for index, size in enumerate((count, ir.Constant(number, 8), ir.Constant(number, 8))):
            builder.store(size, builder.gep(sizes, [ir.Constant(number, index)]))
        kind = ir.FunctionType(ir.VoidType(), [places.type, sizes.type, sizes.type, text])
        strides = builder.gep(sizes, [ir.Constant(number, 1)])
        function = builder.inttoptr(loop, kind.as_pointer())
        builder.call(function, [places, sizes, strides, builder.inttoptr(data, text)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


_call = intrinsic(_calling)


@compiled
def apply(loop, values):
    """Replace numbers, an array that lies without gaps in memory, by a function of theirs; see `loop_of`."""
    _call(loop[0], loop[1], values.ctypes.data, values.size)
