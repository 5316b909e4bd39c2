"""Tensors play what arrays play, ask nothing of the device, and carry the right gradients, which balance the prices."""

import subprocess
import sys

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import random_scenario, random_tape, seeds

pytest.importorskip("torch")

import torch

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.two_stage.dynamics import step
from edgelearn_env.two_stage.env import TwoStageVectorEnv
from edgelearn_env.two_stage.tensor_env import TwoStageTorch

SCENARIOS = {
    "tiny": {"scenario": "tiny"},
    "horizon 1": {"scenario": "tiny", "budgets": {"max_rounds": 1}},
    "ten devices": {"scenario": "default", "objective": "two-stage", "budgets": {"max_rounds": 4}},
    "fifty devices": {"scenario": "large", "radio": {"shadowing_std_db": 4.0}, "budgets": {"max_rounds": 3}},
}
B = 5

# Whatever this machine has.
on_every_device = pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])

# Sums and elementary functions of two libraries, over an episode.
ROUNDING = 1e-12


def both(
    autoreset: bool = True, num_envs: int = B, device: str = "cpu", **kwargs
) -> tuple[TwoStageTorch, TwoStageVectorEnv]:
    mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
    return TwoStageTorch(num_envs, autoreset=autoreset, device=device, **kwargs), TwoStageVectorEnv(
        num_envs, autoreset_mode=mode, **kwargs
    )


def random_actions(rng, envs: TwoStageTorch) -> torch.Tensor:
    """Of a kind with episodes of many lengths: few switch at once."""
    actions = rng.uniform(-1.1, 1.1, (envs.num_envs, envs.codec.action_size))
    actions[:, 0] -= 0.5
    return torch.tensor(actions)


def tensors_of(record) -> list[torch.Tensor]:
    return [leaf for field in record for leaf in tensors_of(field)] if isinstance(record, tuple) else [record]


def assert_close(tensor: torch.Tensor, array: np.ndarray, tolerance: float = ROUNDING):
    values = tensor.detach().cpu().numpy()
    assert values.dtype == array.dtype
    np.testing.assert_allclose(values, array, rtol=tolerance, atol=tolerance)


def assert_state_is_that_of(state, info: dict, rows=slice(None)):
    """As far as the vector environment's `info` tells."""
    progress = state.bound_terms
    pairs = {
        "finetuning": state.finetuning,
        "elapsed_s": state.elapsed_s,
        "spent_j": state.spent_j,
        "battery_j": state.battery_j,
        "num_pretrain_rounds": progress.num_pretrain_rounds.to(torch.int64),
        "num_finetune_rounds": progress.num_finetune_rounds.to(torch.int64),
        "participation": progress.participation,
    }
    for name, tensor in pairs.items():
        assert_close(tensor[rows], info[name][rows])


# Episodes.


@on_every_device
@pytest.mark.parametrize("kwargs", SCENARIOS.values(), ids=SCENARIOS)
def test_whole_episodes_agree_with_the_vector_environment_over_autoresets(rng, kwargs: dict, device):
    ours, theirs = both(device=device, **kwargs)
    observation, _ = ours.reset(seed=21)
    assert_close(observation, theirs.reset(seed=21)[0], 2**-23)
    ends = np.zeros(B, dtype=int)
    for _ in range(400):
        actions = random_actions(rng, ours)
        observation, reward, terminated, truncated, played = ours.step(actions.to(device))
        expected, expected_reward, expected_end, _, info = theirs.step(actions.numpy())
        assert_close(observation, expected, 2**-23)
        assert_close(reward, expected_reward)
        assert_close(terminated, expected_end)
        assert not truncated.any()
        assert_state_is_that_of(ours.observed.state, info)
        assert_close(ours.tape_seed, info["tape_seed"])
        assert_close(ours.tape_episode, info["tape_episode"])
        if expected_end.any():
            last = info["final_info"]
            assert_state_is_that_of(played.state, last, expected_end)
            for name in ("counted", "end_reason", "objective", "duration_s", "energy_j", "server_j"):
                assert_close(getattr(played.outcome, name)[expected_end], last[name][expected_end])
            for name in ("participates", "compute_s", "upload_s", "upload_j"):
                assert_close(getattr(played.outcome.devices, name)[expected_end], last[name][expected_end])
            for name in ("server_batch", "freq_hz", "power_w", "batch"):
                assert_close(getattr(played.allocation, name)[expected_end], last[name][expected_end])
        ends += expected_end
        if np.all(ends >= 4):
            return
    pytest.fail("episodes did not end")


def test_conditions_are_those_of_the_named_tape_in_every_round(rng):
    ours, _ = both(scenario="tiny", radio={"shadowing_std_db": 4.0})
    ours.reset(seed=[7, 5, 7, 1, 900])
    for _ in range(60):
        state, conditions = ours.observed
        for row in range(B):
            tape = sample_tape(ours.scenario, int(ours.tape_seed[row]), int(ours.tape_episode[row]))
            for seen, array in zip(arrays_of(conditions), arrays_of(tape), strict=True):
                np.testing.assert_allclose(seen[row], array[state.round_index[row]], rtol=ROUNDING)
        ours.step(random_actions(rng, ours))
    assert ours.tape_episode.min() > 0


def test_resets_without_a_seed_go_on_with_each_sequence():
    ours, theirs = both(scenario="tiny")
    for named in (3, None, [9, 8, None, 6, None], None):
        observation, _ = ours.reset(seed=named)
        expected, info = theirs.reset(seed=named)
        assert_close(observation, expected, 2**-23)
        assert_close(ours.tape_seed, info["tape_seed"])
        assert_close(ours.tape_episode, info["tape_episode"])


def test_environments_never_seeded_differ():
    pair = [TwoStageTorch(B, "tiny") for _ in range(2)]
    for envs in pair:
        envs.reset()
    assert len({int(seed) for envs in pair for seed in envs.tape_seed}) == 2 * B


@pytest.mark.parametrize("autoreset", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_tapes_handed_in_are_played_for_one_episode(rng, tiny, batched, autoreset):
    tapes = [random_tape(rng, tiny) for _ in range(B if batched else 1)]
    ours, theirs = both(autoreset, scenario="tiny")
    tape = Tape.stack(tapes) if batched else tapes[0]
    ours.reset(seed=1)
    theirs.reset(seed=1)
    observation, _ = ours.reset(tape=tape)
    assert_close(observation, theirs.reset(options={"tape": tape})[0], 2**-23)
    assert ours.tape_seed.tolist() == [-1] * B
    for array in arrays_of(tape):
        array.fill(7.0)
    for _ in range(60 if autoreset else 1):
        actions = random_actions(rng, ours)
        observation, *_ = ours.step(actions)
        expected, _, _, _, info = theirs.step(actions.numpy())
        assert_close(observation, expected, 2**-23)
        assert_close(ours.tape_seed, info["tape_seed"])
    assert not autoreset or ours.tape_seed.min() >= 0


@pytest.mark.parametrize("why", ["no channel", "no battery", "no batch"])
@pytest.mark.parametrize("devices", [[1], [0, 1, 2]])
def test_a_device_is_silent_where_it_is_in_arrays(devices, why):
    charge_j = np.full(3, 0.3)
    charge_j[devices] *= why != "no battery"
    ours, theirs = both(scenario="tiny", energy={"battery_initial_j": charge_j.tolist()})
    tape = sample_tape(ours.scenario, 3)
    tape.channel_gain[0, devices] *= why != "no channel"
    observation, _ = ours.reset(tape=tape)
    assert_close(observation, theirs.reset(options={"tape": tape})[0], 2**-23)
    actions = torch.zeros(B, ours.codec.action_size)
    actions[:, 0] = 1.0
    actions[:, 9 + np.array(devices)] = 0.0 if why != "no batch" else -1.0
    *_, played = ours.step(actions)
    info = theirs.step(actions.numpy())[-1]
    assert played.outcome.counted.all()
    expected = ~np.isin(np.arange(3), devices)
    np.testing.assert_array_equal(played.outcome.devices.participates, np.tile(expected, (B, 1)))
    np.testing.assert_array_equal(info["participates"], np.tile(expected, (B, 1)))
    for name in ("duration_s", "energy_j", "objective"):
        assert_close(getattr(played.outcome, name), info[name])
    assert_state_is_that_of(played.state, info)


def test_without_autoreset_an_episode_that_has_ended_stays_as_it_is(rng):
    ours, _ = both(False, scenario="tiny", budgets={"max_rounds": 3})
    ours.reset(seed=0)
    ended, last = torch.zeros(B, dtype=torch.bool), None
    for _ in range(6):
        before = ours.observed
        observation, reward, terminated, *_ = ours.step(random_actions(rng, ours))
        for old, new in zip(tensors_of(before), tensors_of(ours.observed), strict=True):
            assert torch.equal(old[ended], new[ended])
        assert not reward[ended].any()
        assert last is None or torch.equal(observation[ended], last[ended])
        assert not (ended & ~terminated).any()
        ended, last = terminated, observation
    assert ended.all()
    assert torch.equal(ours.tape_episode, torch.zeros(B, dtype=torch.int64))


def test_nothing_handed_in_is_written_to_and_nothing_handed_out_is_the_environment_s(rng):
    for autoreset in (True, False):
        envs, untouched = (TwoStageTorch(B, "tiny", autoreset=autoreset) for _ in range(2))
        result, expected = envs.reset(seed=1), untouched.reset(seed=1)
        for _ in range(40):
            for tensor in [*tensors_of(result), *tensors_of(envs.observed), envs.tape_seed, envs.tape_episode]:
                tensor.zero_()
            actions = random_actions(rng, envs)
            kept = actions.clone()
            result, expected = envs.step(actions), untouched.step(actions)
            assert torch.equal(actions, kept)
            for ours, theirs in zip(tensors_of(result), tensors_of(expected), strict=True):
                assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("switch", "entries"),
    [(None, slice(1, None)), (1.0, [4]), (1.0, [7]), (1.0, [10]), (1.0, slice(3, None)), (-1.0, [2])],
)
def test_an_action_that_is_not_a_number_ends_its_episode_and_no_other(rng, switch, entries):
    envs, untouched = (TwoStageTorch(B, "tiny") for _ in range(2))
    for one in (envs, untouched):
        one.reset(seed=4)
    actions = random_actions(rng, envs)
    if switch is not None:
        actions[:, 0] = switch
    poisoned = actions.clone()
    poisoned[2, entries] = torch.nan
    before = untouched.observed.state
    observation, reward, terminated, _, played = envs.step(poisoned)
    expected, *_ = untouched.step(actions)
    others = [0, 1, 3, 4]
    assert torch.equal(observation[others], expected[others])
    assert terminated[2]
    assert not played.outcome.counted[2]
    assert reward[2] == 0
    # It is left as it was.
    for old, new in zip(tensors_of(before._replace(ended=~before.ended)), tensors_of(played.state), strict=True):
        assert torch.equal(old[2], new[2])
    assert all(torch.isfinite(tensor).all() for tensor in tensors_of((observation, played.outcome)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: TwoStageTorch(0), "num_envs must be a whole number of at least 1, got 0"),
        (lambda: TwoStageTorch(2).reset(seed=[1]), r"seed must be one number or 2 numbers \(num_envs\), got 1"),
        (
            lambda: TwoStageTorch(2).reset(tape=Tape(np.ones((3, 300, 10)), np.ones((3, 300, 10)))),
            "must hold 1 episode or 2, got 3",
        ),
        (lambda: TwoStageTorch(2).step(torch.zeros(3, 33)), r"action must have shape \(2, 33\), got \(3, 33\)"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        call()


def test_there_is_nothing_to_play_before_a_reset():
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        TwoStageTorch(1, "tiny").step(torch.zeros(1, 12))


# Devices.


@pytest.mark.parametrize("autoreset", [True, False])
def test_a_step_reads_nothing_from_the_device_and_copies_nothing_to_it(monkeypatch, autoreset):
    # Tensors of the meta device hold no numbers: whatever had to know one would raise.
    envs = TwoStageTorch(B, "tiny", device="meta", autoreset=autoreset)
    envs.reset(seed=0, tape=sample_tape(envs.scenario, 1))
    actions = torch.zeros(B, envs.codec.action_size, device="meta", requires_grad=True)
    envs.step(actions)  # numbers that operations take along are made once

    def refuse(*_, **__):
        raise AssertionError("numbers of the host are made a tensor")

    for maker in ("tensor", "asarray", "as_tensor", "from_numpy"):
        monkeypatch.setattr(torch, maker, refuse)
    observation, reward, *_ = envs.step(actions)
    assert observation.device.type == reward.device.type == "meta"


def test_without_torch_the_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from edgelearn_env.errors import MissingExtraError\n"
        "try:\n    import edgelearn_env.two_stage.tensor_env\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "torch is not installed: pip install 'edgelearn-env[agents]'"


# Gradients.

ROUNDS, STEP = 5, 1e-6


def whole_batches(codec: Codec, actions: np.ndarray) -> np.ndarray:
    """The same actions, but with batch sizes that rounding does not change."""
    size, num_devices = codec.action_size, codec.scenario.num_devices
    columns = np.r_[2, size - num_devices : size]
    low, span = codec.action_low[columns - 1], codec.action_log_ratio[columns - 1]
    named = codec.decode(actions)
    batch = np.maximum(np.concatenate([named.server_batch[:, None], named.batch], axis=1), low)
    changed = actions.copy()
    changed[:, columns] = np.clip(2 * np.log(batch / low) / np.where(span > 0, span, 1.0) - 1, -1, 1)
    return changed


def worth(scenario, state, weight):
    """A number for each episode in which all has a part that actions move, (B,); numpy or torch."""
    batteries = (state.battery_j * weight).sum(-1) / float(np.sum(scenario.energy.battery_capacity_j))
    bound = (
        scenario.bound.value(state.bound_terms)
        / scenario.bound.value(initial_state(constants_of(scenario), 1).bound_terms)[0]
    )
    return bound + state.elapsed_s / scenario.budgets.delay_s + state.spent_j / scenario.budgets.energy_j + batteries


def played_in_numpy(scenario, tape, actions, weight):
    """The same number from the arrays' kernels with fractional batches, and every discrete event on the way."""
    codec, system = Codec.of(scenario), constants_of(scenario)
    state, events = initial_state(system, B), []
    for action in actions:
        state, outcome = step(system, state, tape.conditions(state.round_index), codec.fractional(action))
        devices = outcome.devices
        last = np.argmax(devices.compute_s + devices.upload_s, axis=1)
        each = devices.participates * 2 + (state.battery_j == system.battery_capacity_j)
        events.append(np.column_stack([outcome.counted, outcome.end_reason, state.finetuning, last, each]))
    return worth(scenario, state, weight), np.stack(events)


@on_every_device
def test_gradients_are_central_differences_wherever_no_discrete_event_changes(device):
    compared, moved = 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scenario = random_scenario(rng)
        tape = Tape.stack([random_tape(rng, scenario) for _ in range(B)])
        codec, weight = Codec.of(scenario), rng.uniform(0.5, 1.5, scenario.num_devices)
        actions = rng.uniform(-0.9, 0.3, (ROUNDS, B, codec.action_size))
        actions[:, :, 0] = np.where(np.arange(ROUNDS)[:, None] < rng.integers(0, ROUNDS, B), -0.5, 0.5)
        actions = np.stack([whole_batches(codec, action) for action in actions])
        # A batch at an end of its range can be moved to one side only; one sample is such an end too, beyond which
        # there is none.
        direction = rng.normal(size=actions.shape) * (np.abs(actions) < 1 - 1e-3)
        direction[..., -scenario.num_devices :] *= np.stack([codec.decode(action).batch for action in actions]) > 1

        envs = TwoStageTorch(B, scenario, autoreset=False, device=device)
        envs.reset(tape=tape)
        leaf = torch.tensor(actions, requires_grad=True, device=device)
        for action in leaf:
            *_, played = envs.step(action)
        value = worth(scenario, played.state, torch.tensor(weight, device=device))
        value.sum().backward()
        slope = np.sum(leaf.grad.cpu().numpy() * direction, axis=(0, 2))

        expected, events = played_in_numpy(scenario, tape, actions, weight)
        np.testing.assert_allclose(value.detach().cpu(), expected, rtol=1e-9)
        (up, up_events), (down, down_events) = (
            played_in_numpy(scenario, tape, actions + sign * STEP * direction, weight) for sign in (1, -1)
        )
        same = np.all((up_events == events) & (down_events == events), axis=(0, 2))
        np.testing.assert_allclose(slope[same], (up - down)[same] / (2 * STEP), rtol=1e-5, atol=1e-7)
        compared += np.count_nonzero(same)
        moved += np.count_nonzero(np.abs(slope[same]) > 1e-3)
    assert compared > 40
    assert moved > 25


@settings(max_examples=20)
@given(seed=seeds, autoreset=st.booleans(), starved=st.booleans())
def test_no_gradient_is_infinite_or_not_a_number(seed, autoreset, starved):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, batteries="starved" if starved else None)
    tape = Tape.stack([random_tape(rng, scenario) for _ in range(B)])
    tape.channel_gain[rng.random(tape.channel_gain.shape) < 0.05] = 0.0
    tape.harvest_w[rng.random(tape.harvest_w.shape) < 0.2] = 0.0
    envs = TwoStageTorch(B, scenario, autoreset=autoreset)
    envs.reset(seed=seed, tape=tape)
    shape = (scenario.budgets.max_rounds, B, envs.codec.action_size)
    actions = np.where(
        rng.random(shape) < 0.2, rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0], shape), rng.uniform(-1, 1, shape)
    )
    leaf = torch.tensor(actions, requires_grad=True)
    total = torch.zeros(())
    for action in leaf:
        results = tensors_of(envs.step(action))
        for tensor in results:
            assert torch.isfinite(tensor).all()
        total = total + sum(tensor.sum() for tensor in results if tensor.requires_grad)
    total.backward()
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad.any()


def one_round(actions: torch.Tensor, **kwargs):
    """Gradients of what the same first round costs and is worth with each of these actions; and that round."""
    envs = TwoStageTorch(len(actions), "tiny", autoreset=False, **kwargs)
    envs.reset(seed=[0] * len(actions))
    leaf = actions.clone().requires_grad_()
    *_, played = envs.step(leaf)
    outcome = played.outcome
    (outcome.objective + outcome.duration_s + outcome.energy_j).sum().backward()
    return leaf.grad, played


PLENTY = {
    "energy": {"battery_initial_j": 1e3, "battery_capacity_j": 1e3},
    "budgets": {"delay_s": 1e6, "energy_j": 1e6},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("switch", [-1.0, 1.0])
def test_at_the_ends_of_an_action_the_gradient_is_the_one_from_within_and_beyond_them_it_is_zero(switch, dtype):
    rows = torch.full((6, 12), switch, dtype=dtype)
    rows[:, 1:] = torch.tensor([-1.0, -1.0 + 1e-6, -1.0 - 1e-6, 1.0, 1.0 - 1e-6, 1.0 + 1e-6])[:, None]
    # At its lower end a batch is none, and whoever is silent has no gradient: the next test.
    rows[:3, 9:] = 0.5
    gradient, played = one_round(rows, **PLENTY)
    assert played.outcome.counted.all()
    active = ([1, 2], [1, 2]) if switch < 0 else ([3, 4, 5, 6, 7, 8], [9, 10, 11])
    for end, beyond_it in ((0, active[0]), (3, [*active[0], *active[1]])):
        at, within, beyond = gradient[end : end + 3]
        np.testing.assert_allclose(at, within, rtol=1e-4)
        assert not beyond[beyond_it].any()
    assert (gradient[0, active[0]] != 0).all()
    assert (gradient[3, active[1]] != 0).all()
    idle = slice(3, None) if switch < 0 else slice(1, 3)
    assert not gradient[:, idle].any()
    assert not gradient[:, 0].any()


def test_a_silent_device_has_no_gradient_and_of_a_single_sample_it_is_the_one_of_more(tiny):
    codec = Codec.of(tiny)
    low, span = codec.action_low[-1], codec.action_log_ratio[-1]
    rows = torch.full((5, 12), 0.5, dtype=torch.float64)
    batches = torch.tensor([0.25, 0.4, 0.9, 1.0 + 1e-6, 1.3], dtype=torch.float64)
    rows[:, 10] = 2 * torch.log(batches / low) / span - 1
    gradient, played = one_round(rows, **PLENTY)
    assert played.allocation.batch[:, 1].tolist() == [0, 0, 1, 1, 1]
    assert not gradient[:2, [4, 7, 10]].any()
    assert (gradient[2:, [4, 7]] != 0).all()
    # Below one sample there is no more of it to take away.
    assert gradient[2, 10] == 0
    envs = TwoStageTorch(2, tiny, autoreset=False, **PLENTY)
    envs.reset(seed=[0, 0])
    decided = codec.decode(rows[:2].numpy())
    batch = torch.tensor(decided.batch)
    batch[:, 1] = torch.tensor([1.0, 1.0 + 1e-6])
    batch.requires_grad_()
    values = (torch.tensor(value) for value in decided)
    *_, played = envs.play_round(Allocation(*values)._replace(batch=batch))
    exact, beside = torch.autograd.grad(played.outcome.objective.sum(), batch)[0][:, 1].tolist()
    assert exact == pytest.approx(beside, rel=1e-5)
    assert exact < 0


def test_the_bound_has_a_gradient_in_batches_alone_and_what_rounds_cost_in_the_rest(tiny):
    actions = torch.zeros(1, 12, dtype=torch.float64)
    for switch, batches, others in ((-0.5, [2], [1]), (0.5, [9, 10, 11], [3, 4, 5, 6, 7, 8])):
        actions[:, 0] = switch
        envs = TwoStageTorch(1, tiny)
        envs.reset(seed=0)
        leaf = actions.clone().requires_grad_()
        *_, played = envs.step(leaf)
        assert played.outcome.counted.all()
        of_bound, of_energy = (
            torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0][0]
            for value in (played.outcome.objective, played.state.spent_j)
        )
        assert of_bound.nonzero().ravel().tolist() == batches
        assert of_energy.nonzero().ravel().tolist() == sorted([*batches, *others])
        assert (of_bound[batches] < 0).all()


def test_the_gradient_of_a_rounded_batch_is_that_of_the_whole_one_it_is_rounded_to(tiny):
    codec = Codec.of(tiny)
    whole = torch.tensor(whole_batches(codec, np.full((1, 12), 0.31)))
    beside = whole.clone()
    beside[:, 9:] += 1e-3
    gradients, played = zip(*(one_round(action) for action in (whole, beside)), strict=True)
    assert torch.equal(played[0].allocation.batch, played[1].allocation.batch)
    assert not torch.equal(codec_fraction(codec, whole), codec_fraction(codec, beside))
    # What differs is the batch's own derivative in its entry, which is the batch times a constant.
    ratio = codec_fraction(codec, beside) / codec_fraction(codec, whole)
    np.testing.assert_allclose(gradients[1][:, 9:], gradients[0][:, 9:] * ratio, rtol=1e-6)


def codec_fraction(codec: Codec, actions: torch.Tensor) -> torch.Tensor:
    return torch.tensor(codec.fractional(actions.numpy()).batch)


def test_a_round_that_is_not_counted_and_one_before_an_autoreset_have_no_gradient(tiny):
    envs = TwoStageTorch(1, tiny, energy=PLENTY["energy"], budgets={"energy_j": 0.3})
    envs.reset(seed=0)
    dear = torch.ones(1, 12, dtype=torch.float64, requires_grad=True)
    *_, terminated, _, played = envs.step(dear)
    assert terminated.all()
    assert not played.outcome.counted.any()
    total = (
        sum(tensor.sum() for tensor in tensors_of(played.state) if tensor.requires_grad) + played.outcome.energy_j.sum()
    )
    assert not torch.autograd.grad(total, dear, retain_graph=True)[0].any()
    *_, played = envs.step(torch.full((1, 12), -0.9, dtype=torch.float64))
    assert played.outcome.counted.all()
    assert not torch.autograd.grad(played.state.spent_j.sum(), dear)[0].any()


def test_after_detaching_earlier_actions_are_forgotten_and_later_ones_are_not(rng):
    envs = TwoStageTorch(B, "tiny")
    envs.reset(seed=0)
    early, late = (torch.full((B, 12), -0.9, dtype=torch.float64, requires_grad=True) for _ in range(2))
    envs.step(early)
    envs.detach()
    *_, played = envs.step(late)
    played.state.spent_j.sum().backward()
    assert early.grad is None
    assert late.grad[:, 1].all()


def test_nothing_is_remembered_where_no_action_needs_a_gradient(rng):
    envs = TwoStageTorch(B, "tiny")
    envs.reset(seed=0)
    with torch.no_grad():
        results = envs.step(random_actions(rng, envs).requires_grad_())
    assert not any(tensor.requires_grad for tensor in tensors_of((results, envs.observed)))


def finish_prices(episode, times, multipliers):
    """What a second less would be worth to each device that takes part, from its own first-order condition, (N, K).

    In t the price of a second is 2 kappa a^3 b^3 / t^3 times that of a joule, and where a clock is at an end of its
    range it is what a second of upload saves; where nothing is free, it is what others leave of the price of the round.
    """
    (f_low, p_low, _), (f_high, p_high, _) = (ends[2:] for ends in limits_of(episode.scenario))
    devices, uplink, rounds = episode.devices, episode.uplink, episode.num_finetune_rounds
    carried = np.concatenate([multipliers.carry[1:], np.zeros((1, episode.scenario.num_devices))])
    joule = multipliers.energy + multipliers.pay + carried
    freq_hz = devices.cycles_per_sample * times.batch / times.compute_s
    compute_j = episode.scenario.devices.capacitance_j_s2 * freq_hz**2 * devices.cycles_per_sample * times.batch
    of_clock = 2 * compute_j / times.compute_s * joule
    ratio = uplink.nats_s / times.upload_s
    power_w = uplink.noise_w * np.expm1(ratio)
    of_upload = joule * uplink.noise_w * (ratio * np.exp(ratio) - np.expm1(ratio))
    free_clock = (freq_hz > f_low * (1 + 1e-4)) & (freq_hz < f_high * (1 - 1e-4))
    free_power = (power_w > p_low * (1 + 1e-4)) & (power_w < p_high * (1 - 1e-4))
    price = np.where(free_clock, of_clock, np.where(free_power, of_upload, np.nan))
    price[~episode.participates] = 0.0
    of_round = multipliers.time - np.sum(carried * episode.finetune_harvest_w, axis=1)
    for n in range(rounds):
        unknown = np.isnan(price[n])
        assert np.sum(unknown) <= 1, "choose another system"
        price[n, unknown] = of_round[n] - np.nansum(price[n])
    return price, carried


@pytest.mark.parametrize(
    ("batteries", "seed"), [("ample", 0), ("ample", 10), ("binding", 9), ("binding", 15), ("binding", 29)]
)
@pytest.mark.parametrize("silent", [False, True])
def test_at_the_optimum_the_gradients_of_the_bound_and_of_what_is_used_at_the_program_s_prices_cancel(
    batteries, seed, silent
):
    # All that is decided is a function of the actions: where the Lagrangian is stationary in its own variables, it is
    # so in the actions, whichever device sets the pace and whatever a battery has become by then.
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, max_rounds=int(rng.integers(3, 9)), batteries=batteries)
    tape = random_tape(rng, scenario)
    num_pretrain, num_finetune = (2, 3) if scenario.budgets.max_rounds >= 5 else (2, 1)
    participates = np.ones((num_finetune, scenario.num_devices), dtype=bool)
    participates[0, 0] = not silent
    episode = PlannedEpisode(
        scenario=scenario,
        tape=tape,
        num_pretrain_rounds=num_pretrain,
        num_finetune_rounds=num_finetune,
        given_participates=participates,
    )
    solution = EpisodeProgram(episode).solve()
    prices = solution.multipliers
    finish, carried = finish_prices(episode, solution.times, prices)
    switch, *values = plan_from_times(episode, solution.times, shrink=1e-9).allocations
    logs = [torch.log(torch.tensor(value)).requires_grad_() for value in values]

    envs = TwoStageTorch(1, scenario, autoreset=False)
    envs.reset(tape=tape)
    seconds, joules = torch.zeros(()), torch.zeros(())
    for index in range(num_pretrain + num_finetune):
        harvest_w = envs.observed.conditions.harvest_w
        rows = [torch.exp(log[index : index + 1]) for log in logs]
        *_, played = envs.play_round(Allocation(torch.tensor(switch[index : index + 1]), *rows))
        assert played.outcome.counted.all()
        duration_s = played.outcome.duration_s[:, None]
        if index < num_pretrain:
            seconds = seconds - (torch.tensor(prices.carry[0]) * harvest_w * duration_s).sum()
        else:
            devices, n = played.outcome.devices, index - num_pretrain
            np.testing.assert_array_equal(devices.participates[0], participates[n])
            late_s = devices.compute_s + devices.upload_s - duration_s
            seconds = seconds + (torch.tensor(finish[n]) * late_s).sum()
            seconds = seconds - (torch.tensor(carried[n]) * harvest_w * duration_s).sum()
            energy_j = devices.compute_j + devices.upload_j
            joules = joules + (torch.tensor(prices.pay[n] + carried[n]) * energy_j).sum()
    seconds = seconds + prices.time * played.state.elapsed_s.sum()
    joules = joules + prices.energy * played.state.spent_j.sum()

    bound = played.outcome.objective.sum()
    parts = [
        torch.autograd.grad(part, logs, retain_graph=True, materialize_grads=True) for part in (bound, seconds, joules)
    ]
    worth_of = [max(float(gradient.abs().max()) for gradient in part) / bound.item() for part in parts]
    assert min(worth_of) > 1e-3
    lowest, highest = limits_of(scenario)
    for log, low, high, *gradients in zip(logs, lowest, highest, *parts, strict=True):
        value = torch.exp(log.detach()).numpy()
        free = (value > low * (1 + 1e-4)) & (value < high * (1 - 1e-4))
        assert abs(sum(gradients).numpy()[free] / bound.item()).max(initial=0.0) < 1e-5


def limits_of(scenario):
    """Ends of the range of everything that is decided, but for the switch."""
    server, devices = scenario.server, scenario.devices
    lowest = (server.freq_min_hz, 1.0, devices.freq_min_hz, 0.0, 1.0)
    highest = (server.freq_max_hz, server.batch_max, devices.freq_max_hz, devices.power_max_w, devices.batch_max)
    return lowest, highest
