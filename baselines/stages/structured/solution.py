"""An episode's program solved by its structure."""

import numpy as np

from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.solution import Multipliers, Solution
from edgelearn_env.baselines.stages.structured.interior_point import solved
from edgelearn_env.baselines.stages.structured.numbers import Numbers
from edgelearn_env.baselines.stages.structured.rows import Rows

# An upload in the program's units that asks for next to no power.
_LONG = 1e3


def structured_solution(numbers: Numbers, *, thrifty: bool = False) -> Solution | None:
    """The solution in the program's units; None where there is none, or none was found.

    Args:
        numbers: of the program.
        thrifty: minimise the share of the budgets that is used; batches have to be given.
    """
    if (found := solved(numbers, thrifty=thrifty)) is None:
        return None
    point, price = found.point, Rows.of(numbers).split(found.multipliers)
    place, shape = (numbers.round_index, numbers.device), numbers.stored.shape

    def of_all(values: np.ndarray, of_silent: float) -> np.ndarray:
        """By round and device; of silent devices something that is possible."""
        made = np.full(shape, of_silent)
        made[place] = values
        return made

    return Solution(
        RoundTimes(
            server_batch=point.server_batch,
            server_s=point.server_s,
            batch=of_all(point.batch, 1.0),
            compute_s=of_all(point.seconds, 1.0),
            upload_s=of_all(point.upload, _LONG),
            duration_s=point.duration,
        ),
        Multipliers(
            time=float(price["delay"][0]),
            energy=float(price["energy"][0]),
            pay=of_all(price["pay"], 0.0),
            carry=np.concatenate([price["start"], price["store"]]).reshape(shape),
        ),
        point.share,
    )
