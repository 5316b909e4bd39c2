"""What array code comes down to: operations on rows of 64-bit numbers, one number for each episode.

Rows hold float64 or int64; flags are int64, 0 and 1. Operations that begin with INT take whole numbers and flags, the
others floating-point ones; comparisons give flags. Each gives the bits of numpy's function.
"""

(
    COPY,
    LOG,
    TAN,
    EXP,
    LOG1P,
    SELECT,
    TAKE,
    GIVEN,
    ADD,
    MULTIPLY,
    SUBTRACT,
    DIVIDE,
    MINIMUM,
    MAXIMUM,
    LESS,
    LESS_EQUAL,
    EQUAL,
    NOT_EQUAL,
    INT_ADD,
    INT_SUBTRACT,
    INT_MULTIPLY,
    INT_MINIMUM,
    INT_MAXIMUM,
    INT_AND,
    INT_OR,
    INT_XOR,
    INT_SHIFT,
    INT_LESS,
    INT_LESS_EQUAL,
    INT_EQUAL,
    INT_NOT_EQUAL,
    NEGATIVE,
    ABSOLUTE,
    SQRT,
    FLOOR,
    CEIL,
    ROUND,
    SINGLE,
    INT_NEGATIVE,
    TO_FLOAT,
    TO_INT,
) = range(41)

# The last of each kind: of float64 that make some, that make flags; of int64 that make some, that make flags.
LAST_OF_FLOATS, LAST_COMPARISON, LAST_OF_INTS, LAST_INT_COMPARISON = MAXIMUM, NOT_EQUAL, INT_SHIFT, INT_NOT_EQUAL

# What rows come from when no operation makes them: a number known beforehand, or what a program is started with.
CONSTANT, INPUT = -1, -2
