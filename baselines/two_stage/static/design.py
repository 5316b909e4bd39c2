"""The static joint design: the best numbers of rounds, batches, frequencies and powers on a channel that does not vary.

Problem P1 of arXiv:2404.00836: minimise Phi over M, N, batches, frequencies and powers within the budgets of delay and
energy, without batteries. All fine-tuning rounds are alike; all pre-training rounds have one clock.
"""

import dataclasses

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import cheapest_compute, cheapest_upload
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction, Stages
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.static.rounds import StaticConstants, average_tape
from edgelearn_env.baselines.stages.static.search import Best, best_rounds
from edgelearn_env.baselines.two_stage.static.relaxation import real_rounds_bound
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.stages.bounds import TwoStageBound
from edgelearn_env.stages.scenario import StagedScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StaticDesign:
    """What to do in every round if the channel stays at its mean and batteries never run short.

    Attributes:
        scenario: the system.
        num_pretrain_rounds, num_finetune_rounds: M and N.
        server_batch: b of the pre-training rounds, real-valued, (M,).
        server_freq_hz: f of the pre-training rounds, (M,).
        server_duration_s: how long they last, s, (M,).
        batch, freq_hz, power_w: of each device in every fine-tuning round, (K,).
        duration_s: of a fine-tuning round, downlink included, s; 0 without any.
        value: Phi.
        bound: no design has a smaller Phi; proven by prices, in closed form. With the two-stage objective, and no
            restriction, that is true of real-valued numbers of rounds too.
        num_solved: pairs (M, N) for which batches, frequencies and powers were optimised; for all others prices prove
            that they are no better.
        restriction: what it keeps to besides.
    """

    scenario: StagedScenario
    num_pretrain_rounds: int
    num_finetune_rounds: int
    server_batch: np.ndarray
    server_freq_hz: np.ndarray
    server_duration_s: np.ndarray
    batch: np.ndarray
    freq_hz: np.ndarray
    power_w: np.ndarray
    duration_s: float
    value: float
    bound: float
    num_solved: int
    restriction: Restriction = UNRESTRICTED

    @property
    def integer_loss(self) -> float:
        """value / bound - 1: with the two-stage objective, what whole numbers of rounds cost."""
        return self.value / self.bound - 1

    @property
    def plan(self) -> Plan:
        """The design in whole batches, rounded down, to be played open loop."""
        num_finetune, cycles = self.num_finetune_rounds, self.scenario.device_cycles_per_sample
        compute_s, downlink_s = cycles * self.batch / self.freq_hz, self.scenario.radio.downlink_s
        each_round = (num_finetune, self.scenario.num_devices)
        times = RoundTimes(
            server_batch=self.server_batch,
            server_s=self.server_duration_s,
            batch=np.broadcast_to(self.batch, each_round),
            compute_s=np.broadcast_to(compute_s, each_round),
            upload_s=np.broadcast_to(self.duration_s - downlink_s - compute_s, each_round),
            duration_s=np.full(num_finetune, self.duration_s - downlink_s),
        )
        ample = with_ample_batteries(self.scenario)
        episode = PlannedEpisode(
            scenario=ample,
            tape=average_tape(ample),
            num_pretrain_rounds=self.num_pretrain_rounds,
            num_finetune_rounds=num_finetune,
            restriction=self.restriction,
        )
        return plan_from_times(episode, times, whole_batches=True)


def static_design(
    scenario: StagedScenario, *, stages: Stages = "both", restriction: Restriction = UNRESTRICTED
) -> StaticDesign:
    """Find the best design over all numbers of rounds, and prove it.

    argmin over M, N, b, f, p of Phi subject to M a_s b_s / f_s + N (max_k (a_k b_k / f_k + u_k) + downlink) <= T, all
    energies <= E, M + N <= T_max and the limits of b, f and p. For given (M, N) this is convex and solved through its
    dual (`round_counts`); prices of one pair prove lower bounds for all others.

    Args:
        scenario: the system; `learning.objective` says which Phi.
        stages: keep to one stage to see what the other is worth; the bound is then for such designs only.
        restriction: what designs must keep to besides; likewise.

    Raises:
        InvalidInputError: the budgets cannot pay for one fine-tuning round of single samples on the mean channel.
    """
    constants = StaticConstants.of(scenario, restriction)
    best = best_rounds(constants, stages)
    if not best.has_finetuned and stages != "pretrain":
        require_one_round(scenario, restriction)
    bound = best.bound
    if isinstance(scenario.bound, TwoStageBound) and stages == "both" and not restriction.binds_static_designs:
        bound = min(bound, real_rounds_bound(constants, scenario.bound, best.prices))
    return _design(constants, best, bound)


def with_ample_batteries(scenario: StagedScenario) -> StagedScenario:
    """The scenario with batteries that can pay for anything the energy budget allows."""
    charge_j = scenario.budgets.energy_j
    return scenario.replace(energy={"battery_initial_j": charge_j, "battery_capacity_j": charge_j})


def _design(constants: StaticConstants, best: Best, bound: float) -> StaticDesign:
    rounds, scenario = best.rounds, constants.scenario
    uplink, downlink_s = constants.uplink, scenario.radio.downlink_s
    server_freq_hz = np.full(len(rounds.server_batch), rounds.server_freq_hz)
    return StaticDesign(
        scenario=scenario,
        num_pretrain_rounds=best.num_pretrain_rounds,
        num_finetune_rounds=best.num_finetune_rounds,
        server_batch=rounds.server_batch,
        server_freq_hz=server_freq_hz,
        server_duration_s=constants.server.cycles_per_sample * rounds.server_batch / server_freq_hz,
        batch=rounds.batch,
        freq_hz=rounds.freq_hz,
        power_w=np.minimum(uplink.noise_w * np.expm1(uplink.nats_s / rounds.upload_s), uplink.power_max_w),
        duration_s=rounds.duration_s + downlink_s if best.num_finetune_rounds else 0.0,
        value=best.value,
        bound=bound * (1 - _ROUNDING),
        num_solved=best.num_solved,
        restriction=constants.restriction,
    )


# Of the sums that make up a bound in double precision.
_ROUNDING = 1e-12


def require_one_round(scenario: StagedScenario, restriction: Restriction = UNRESTRICTED) -> None:
    """Let pass a system whose budgets can pay for one fine-tuning round of single samples on the mean channel.

    Raises:
        InvalidInputError: they cannot; the sentence says which is too small, and by how much.
    """
    constants, share = StaticConstants.of(scenario, restriction), restriction.pretrain_share
    constants = constants if share is None else constants.with_share(1 - share)
    whose = "" if share is None else f"{1 - share:.3g} of "
    radio, devices = scenario.radio, constants.devices
    finish_s = devices.cycles_per_sample / devices.freq_max_hz + constants.least_upload_s
    least_s = radio.downlink_s + float(np.max(finish_s))
    _require(constants.delay_s, least_s, f"{whose}budgets.delay_s", "s", "")
    low, high = (
        np.full(len(constants.device_noise), _LEAST_POWER_W),
        np.full(len(constants.device_noise), _MOST_POWER_W),
    )
    for _ in range(_HALVINGS):
        # Seconds are worth as many joules as make every device finish just in time.
        worth_w = np.sqrt(low * high)
        compute = cheapest_compute(0.0, worth_w, 1.0, devices)
        upload = cheapest_upload(worth_w, 1.0, constants.uplink)
        late = compute.seconds + upload.seconds > constants.delay_s - radio.downlink_s
        low, high = np.where(late, worth_w, low), np.where(late, high, worth_w)
    spent_j = compute.cost + upload.cost - worth_w * (compute.seconds + upload.seconds)
    least_j = radio.downlink_j + float(np.sum(spent_j))
    _require(constants.energy_j, least_j, f"{whose}budgets.energy_j", "J", f" within {constants.delay_s:g} s")


# Between these worths of a second lie all that matter: nobody hurries, everybody hurries.
_LEAST_POWER_W, _MOST_POWER_W, _HALVINGS = 1e-12, 1e12, 120


def _require(budget: float, least: float, name: str, unit: str, within: str) -> None:
    if budget < least * (1 - 1e-9):
        needed = f"one fine-tuning round of single samples, uploads included, takes at least {least:.4g} {unit}{within}"
        sentence = f"{name} = {budget:g} {unit} is too small by {least - budget:.3g} {unit}"
        raise InvalidInputError(f"{sentence}: on the mean channel {needed}")
