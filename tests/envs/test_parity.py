"""Every form plays the same episodes: one after the other, as arrays, compiled, as tensors; to 1e-12 and mostly better.

What they are all compared with is a rollout of the model itself, on the tapes that their seeds name.
"""

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv, VectorEnv

from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv

B, SEED = 5, 21

# Elementary functions of two libraries, added up over an episode.
ROUNDING = 1e-12

SCENARIOS = {
    "tiny": Scenario.preset("tiny"),
    "ten devices, two stages": Scenario.preset("default").replace(
        learning={"objective": "two-stage"}, budgets={"max_rounds": 40}
    ),
    "fifty devices": Scenario.preset("large").replace(radio={"shadowing_std_db": 4.0}, budgets={"max_rounds": 20}),
}
scenarios = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


def random_actions(scenario: Scenario) -> np.ndarray:
    """Of a kind with long episodes: frugal, and few switch at once, (T, B, 3 + 3 K)."""
    size, rng = Codec.of(scenario).action_size, np.random.default_rng(SEED)
    actions = rng.uniform(-1.1, 0.4, (scenario.budgets.max_rounds, B, size)).astype(np.float32)
    actions[:, :, 0] = rng.uniform(-1.0, 0.05, actions.shape[:2])
    return actions


def modelled(scenario: Scenario, actions: np.ndarray) -> Trajectory:
    """The episodes as the model's arrays have them."""
    codec, upcoming = Codec.of(scenario), iter(actions)
    tapes = Tape.stack([sample_tape(scenario, SEED + index) for index in range(B)])
    return rollout(scenario, tapes, lambda observed: codec.decode(next(upcoming)))


def rounds_of(trajectory: Trajectory) -> Iterator[tuple[Observed, np.ndarray, np.ndarray]]:
    """What is observed before each round, the reward of it, and who still plays, (B,)."""
    for t in range(trajectory.outcomes.reward.shape[1]):
        observed = mapped(lambda array, t=t: array[:, t], trajectory.observed)
        yield observed, trajectory.outcomes.reward[:, t], ~observed.state.ended


def vector_forms(scenario: Scenario) -> dict[str, VectorEnv]:
    kernels = ("numpy", "compiled") if importlib.util.find_spec("numba") else ("numpy",)
    forms = {kernel: TwoStageVectorEnv(B, scenario, autoreset_mode="SameStep", kernel=kernel) for kernel in kernels}
    singles = [lambda: TwoStageEnv(scenario, kernel="numpy")] * B
    return forms | {"single": SyncVectorEnv(singles, autoreset_mode="SameStep")}


@scenarios
def test_single_and_vector_environments_and_compiled_ones_play_the_model_to_the_last_bit(scenario):
    actions = random_actions(scenario)
    trajectory = modelled(scenario, actions)
    for form, envs in vector_forms(scenario).items():
        observation, _ = envs.reset(seed=SEED)
        for action, (observed, reward, playing) in zip(actions, rounds_of(trajectory), strict=False):
            expected = Codec.of(scenario).encode(*observed)
            np.testing.assert_array_equal(observation[playing], expected[playing], err_msg=form)
            observation, rewards, ended, _, _ = envs.step(action)
            np.testing.assert_array_equal(rewards[playing], reward[playing], err_msg=form)
        assert ended[playing].all()


@scenarios
def test_tensors_play_the_model_to_rounding_and_observe_it_so_before_observations_are_cast(scenario):
    torch = pytest.importorskip("torch")
    from edgelearn_env.two_stage.tensor_env import TwoStageTorch

    def assert_close(left, right, rows):
        def compare(tensor, array):
            np.testing.assert_allclose(tensor.numpy()[rows], array[rows], rtol=ROUNDING, atol=ROUNDING)

        mapped(compare, left, right)

    actions = random_actions(scenario)
    trajectory = modelled(scenario, actions)
    assert trajectory.outcomes.reward.shape[1] > 10
    envs = TwoStageTorch(B, scenario, autoreset=False)
    envs.reset(seed=SEED)
    for action, (observed, reward, playing) in zip(actions, rounds_of(trajectory), strict=False):
        assert_close(envs.observed, observed, playing)
        assert_close(envs.codec.normalised(*envs.observed), Codec.of(scenario).normalised(*observed), playing)
        _, rewards, ended, _, _ = envs.step(torch.tensor(action))
        assert_close(rewards, reward, playing)
    assert ended.all()
    assert_close(envs.observed.state, trajectory.final_state, slice(None))
