"""A coded round beside one without a code that waits for all, under the same injected delays."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.gradient_coding.codes.hierarchical_code import HierarchicalCode
from edgelearn_env.gradient_coding.codes.layout import CodeLayout
from edgelearn_env.gradient_coding.codes.product_code import product_code
from edgelearn_env.gradient_coding.execution.coded_round import PlayedRound, coded_round
from edgelearn_env.gradient_coding.execution.delays import Delays, Predicted
from edgelearn_env.gradient_coding.execution.sites import Hub
from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression


class MeasuredRound(NamedTuple):
    """A round as it went, and as it was to go.

    Attributes:
        played: on real machines.
        predicted: by the model, from the injected delays alone.
        relative_error: ||decoded - full|| / ||full||, full the gradient of all parts computed in one place.
    """

    played: PlayedRound
    predicted: Predicted
    relative_error: float


class ComparedRounds(NamedTuple):
    """Both rounds.

    Attributes:
        coded: with the product code for the stragglers of the layout.
        uncoded: each device computes its own part, and all are waited for.
    """

    coded: MeasuredRound
    uncoded: MeasuredRound


def compared_rounds(
    master: Hub, layout: CodeLayout, delays: Delays, problem: SoftmaxRegression, seed: int = 0
) -> ComparedRounds:
    """Play both rounds, of a problem cut into as many parts as there are devices.

    Args:
        master: of an engine that was made for these groups.
        layout: equal groups, and how many may be late.
        delays: injected into both.
        problem: whose gradient is sought.
        seed: of the code's coefficients.
    """
    nobody_late = CodeLayout(group_sizes=layout.group_sizes, edge_stragglers=0, device_stragglers=0)
    coded, uncoded = product_code(layout, seed), product_code(nobody_late, seed)
    weights = problem.weights()
    full = problem.full_gradient(weights, layout.num_devices)
    # What machines load when they compute for the first time is to delay no round that is measured.
    coded_round(master, uncoded, problem, weights, Delays.none(layout))

    def measured(code: HierarchicalCode) -> MeasuredRound:
        played = coded_round(master, code, problem, weights, delays)
        error = np.linalg.norm(played.found.gradient - full) / np.linalg.norm(full)
        return MeasuredRound(played, delays.predicted(code), float(error))

    return ComparedRounds(measured(coded), measured(uncoded))
