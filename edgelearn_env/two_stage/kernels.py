"""What a round is computed by: numpy's array operations or compiled loops, to the same numbers."""

import numpy as np

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.law import LawState, TapeLaw, before_first_round, next_rounds
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.dynamics import Allocation, Outcome, State, constants_of, step
from edgelearn_env.two_stage.encoding import Codec

KERNELS = ("auto", "compiled", "numpy")


class Kernel:
    """The model of a scenario in array operations; `CompiledKernel` does the same faster.

    Arrays (B, K) lie device by device in memory, both those that are handed in and those that come out.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.constants = constants_of(scenario)
        self.codec = Codec.of(scenario)
        self.law = TapeLaw.of(scenario)

    def decode(self, action: np.ndarray) -> Allocation:
        """As `Codec.decode`."""
        return self.codec.decode(np.asfortranarray(action))

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`."""
        return step(self.constants, state, conditions, allocation)

    def encode(self, state: State, conditions: Conditions) -> np.ndarray:
        """As `Codec.encode`, row by row in memory."""
        return np.ascontiguousarray(self.codec.encode(state, conditions))

    def before_first_round(self, key: np.ndarray) -> LawState:
        """As `tape_law.before_first_round`."""
        return before_first_round(self.law, key)

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, np.ndarray, np.ndarray]:
        """As `tape_law.next_rounds`."""
        return next_rounds(self.law, law_state, num_rounds)


def kernel_named(name: str, scenario: Scenario) -> Kernel:
    """The kernel that an environment's argument names, for a scenario.

    Args:
        name: "numpy"; "compiled", which needs numba; "auto" for the compiled one if numba can be imported.
        scenario: the system.

    Raises:
        InvalidInputError: no such kernel.
        MissingExtraError: the compiled one is asked for without numba.
    """
    if name not in KERNELS:
        raise InvalidInputError(f"kernel must be one of {', '.join(KERNELS)}, got {name!r}")
    if name == "numpy":
        return Kernel(scenario)
    try:
        from edgelearn_env.two_stage.compiled_kernel import CompiledKernel
    except ImportError as error:
        if name == "auto":
            return Kernel(scenario)
        raise MissingExtraError("kernel 'compiled' needs numba: pip install 'edgelearn-env[fast]'") from error
    return CompiledKernel(scenario)
