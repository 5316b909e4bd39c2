"""How the rounds of a system are trimmed: the part of them that all systems have, by `trimming.trimmed`.

Rounds with codes are not trimmed: which devices a round waits for is not known before it.
"""

import functools
from collections.abc import Callable

from edgelearn_env.agents.actor.trimming import trimmed
from edgelearn_env.arrays.namespaces import namespace_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import as_staged, played_levels
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.two_stage.scenario import TwoStageScenario

Trimmer = Callable[[Observed, Allocation], Allocation]


@functools.singledispatch
def trimmer(scenario: StagedScenario) -> Trimmer:
    """What makes of a decided round the one to play, in numpy.

    Raises:
        InvalidInputError: rounds of that system are not trimmed.
    """
    raise InvalidInputError(
        f"scenario must be of a system whose rounds can be trimmed, 'two-stage' or 'layer-tuning', "
        f"but {scenario.name!r} is of system {scenario.system!r}"
    )


@trimmer.register
def _(scenario: TwoStageScenario) -> Trimmer:
    return functools.partial(trimmed, constants_of(scenario), scenario.budgets)


@trimmer.register
def _(scenario: LayerTuningScenario) -> Trimmer:
    return functools.partial(_trimmed_layers, LayerConstants.of(scenario))


def _trimmed_layers(constants: LayerConstants, observed: Observed, allocation: Allocation) -> Allocation:
    """At the blocks that are played; unlike data, which count block by block, are no part of what sets are worth."""
    levels = played_levels(constants, observed.state, allocation)
    at, staged = as_staged(constants, levels, allocation)
    played = trimmed(at, constants.scenario.budgets, observed, staged)
    # The last rounds may ask for more samples than were decided.
    most = constants.by_device(constants.most_batch, levels.place, levels.blocks)
    batch = namespace_of(most).minimum(played.batch, most)
    return allocation._replace(freq_hz=played.freq_hz, batch=batch, blocks=levels.blocks)
