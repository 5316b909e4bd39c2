"""One learning round of hierarchical gradient coding: the transition, pure, batched, in any array library.

What all systems share of it is in `stages.dynamics`; here is a fine-tuning round of devices under edge nodes, with or
without a code. Source of the scheme: arXiv:2406.10831; what a round costs and brings is this package's own model.

The data are in K parts, one owned by each device, and part p has beta_p samples in a round. With the product code for
(s_e, s_w) device j under edge node i computes the parts of devices j to j + s_w under edge nodes i to i + s_e, both
cyclic, and sends one combination of their gradients; n - s_e edge nodes with m - s_w of their devices each give the sum
over all parts exactly (`gradient_coding.codes`). Whoever holds a part draws the same samples of it.
"""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.records import Allocation, CodedRound, Outcome, Seen, State
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.stages import dynamics as stages
from edgelearn_env.stages.records import DeviceRound, FinetuneRound
from edgelearn_env.tapes.tape import Conditions


class Work(NamedTuple):
    """What every device would do if it were waited for; arrays (B, K).

    Attributes:
        takes_part: who works: is asked, and has a battery that covers it.
        compute_s, upload_s: start-up, computing and stalls; all tries to send.
        compute_j, upload_j: what it spends on that.
    """

    takes_part: Array
    compute_s: Array
    upload_s: Array
    compute_j: Array
    upload_j: Array

    @property
    def finish_s(self) -> Array:
        """When each device would be done, s; infinity for one that does not work."""
        finish_s = self.compute_s + self.upload_s
        return namespace_of(finish_s).where(self.takes_part, finish_s, float("inf"))


def initial_state(constants: CodingConstants, batch_size: int) -> State:
    """B episodes before their first round, without any straggler seen."""
    staged = stages.initial_state(constants.staged, batch_size)
    none, each = staged.round_index + 0, staged.battery_j * 0.0
    return State(**staged._asdict(), seen=Seen(none, none + 0, each + 1.0, each + 1.0, each))


def step(
    constants: CodingConstants, state: State, conditions: Conditions, allocation: Allocation
) -> tuple[State, Outcome]:
    """Do one round in each of B episodes; see `stages.dynamics.step`."""
    allocation = as_played(allocation)
    finetuning, coded = finetune_round(constants, state.battery_j, conditions, allocation)
    after, outcome = stages.step(constants.staged, state, conditions, allocation.staged, finetuning)
    shown = outcome.counted & after.finetuning
    xp = namespace_of(state.battery_j)
    coded = CodedRound(coded.decoded & shown, *(xp.where(shown[:, None], array, 0.0) for array in coded[1:]))
    new = Seen(
        allocation.edge_stragglers,
        allocation.device_stragglers,
        conditions.hidden.slowdown,
        conditions.hidden.tries,
        coded.lateness,
    )
    seen = Seen(*(_chosen(shown, now, before) for now, before in zip(new, state.seen, strict=True)))
    return after._replace(seen=seen), Outcome(**outcome._asdict(), coded=coded)


def as_played(allocation: Allocation) -> Allocation:
    """The same with at least one sample of each part in rounds with a code."""
    xp = namespace_of(allocation.batch)
    uses = uses_code(allocation)[:, None]
    return allocation._replace(batch=xp.where(uses & (allocation.batch < 1), 1.0, allocation.batch))


def uses_code(allocation: Allocation) -> Array:
    """Whether the round may go on without some devices, (B,)."""
    return (allocation.edge_stragglers > 0) | (allocation.device_stragglers > 0)


def finetune_round(
    constants: CodingConstants, battery_j: Array, conditions: Conditions, allocation: Allocation
) -> tuple[FinetuneRound, CodedRound]:
    """What a fine-tuning round would be if no budget applied.

    Without a code the round is over when all who take part are done, and it counts their data. With one it is over
    when the (n - s_e)-th edge node has its (m - s_w)-th result; it counts all data, and who is still at work is
    cancelled and has spent in proportion to the time. If too few work for that, it waits for all who do and
    `radio.idle_s` more, and counts nothing.
    """
    xp, scenario = namespace_of(battery_j), constants.scenario
    load = device_load(scenario, allocation)
    work = device_work(constants, battery_j, conditions, allocation, load)
    coded = uses_code(allocation)
    edge_s = edge_times_s(scenario, work.finish_s, conditions, allocation)
    last_s = xp.max(xp.where(work.takes_part, work.compute_s + work.upload_s, 0.0), axis=-1)
    waited_s = xp.where(coded, decoding_time_s(scenario, edge_s, allocation), _latest_edge_s(edge_s))
    anybody = xp.any(work.takes_part, axis=-1)
    decoded = xp.where(coded, waited_s < float("inf"), anybody)
    end_s = xp.where(decoded, waited_s, last_s)
    lateness = xp.where((coded & decoded)[:, None], _undone(work, end_s), 0.0)
    done = 1.0 - lateness
    devices = DeviceRound(work.takes_part, *(done * array for array in work[1:]))
    round_ = FinetuneRound(
        # Not the choice of two plain numbers, which torch would make in single precision.
        duration_s=xp.where(decoded, end_s + scenario.radio.downlink_s, end_s + scenario.radio.idle_s),
        devices=devices,
        contributes=xp.where(coded[:, None], decoded[:, None], work.takes_part),
    )
    waited_for = edge_s <= end_s[:, None]
    return round_, CodedRound(decoded, load, lateness, xp.where(waited_for & (edge_s > 0), edge_s, 0.0))


def device_load(scenario: GradientCodingScenario, allocation: Allocation) -> Array:
    """L_k = sum of beta_p over the parts that device k computes, (B, K): its own and those after it, cyclic."""
    xp, coding = namespace_of(allocation.batch), scenario.coding
    parts = xp.reshape(allocation.batch, (-1, coding.num_edges, scenario.devices_per_edge))
    load = parts
    for edges, devices in scenario.codes[1:]:
        held = (edges <= allocation.edge_stragglers) & (devices <= allocation.device_stragglers)
        others = xp.roll(parts, (-edges, -devices), axis=(1, 2))
        load = load + xp.where(held[:, None, None], others, 0.0)
    return xp.reshape(load, allocation.batch.shape)


def device_work(
    constants: CodingConstants, battery_j: Array, conditions: Conditions, allocation: Allocation, load: Array
) -> Work:
    """Who works, and what that takes: F_k = c_0 + x_k a_k L_k / f_k + y_k L_k + N_k u_k, e_k = kappa a L f^2 + p N u.

    Without a code a device takes part if its batch is at least 1, with one if it is asked; and in any case only if its
    battery covers e_k. What is not a number is no excuse: such a device makes a round that no budget allows.
    """
    xp, power_w, hidden, staged = namespace_of(battery_j), allocation.power_w, conditions.hidden, constants.staged
    rate_bps = uplink_rate_bps(
        power_w, conditions.channel_gain, staged.bandwidth_hz, constants.scenario.radio.noise_w_per_hz
    )
    upload_s = hidden.tries * upload_time_s(staged.upload_bit, rate_bps)
    cycles = staged.cycles_per_sample
    compute_j = compute_energy_j(staged.capacitance_j_s2, cycles, load, allocation.freq_hz)
    compute_s = hidden.slowdown * compute_time_s(cycles, load, allocation.freq_hz) + hidden.stall_s * load
    compute_s = constants.start_s + compute_s
    silent = xp.where(uses_code(allocation)[:, None], ~allocation.asked, allocation.batch < 1)
    takes_part = ~(silent | (compute_j + power_w * upload_s > battery_j))

    def of_those(array: Array) -> Array:
        return xp.where(takes_part, array, 0.0)

    # An infinite time is out of the product, whose gradient it would spoil.
    upload_s = of_those(upload_s)
    return Work(takes_part, of_those(compute_s), upload_s, of_those(compute_j), power_w * upload_s)


def edge_times_s(
    scenario: GradientCodingScenario, finish_s: Array, conditions: Conditions, allocation: Allocation
) -> Array:
    """When each edge node has sent its result to the server, s, (B, n); infinity where it never has enough for one.

    A_i = the (m - s_w)-th smallest F under edge node i, plus tau N^e_i. Without a code it waits for all who take part
    under it, and 0 stands for an edge node without any.
    """
    xp, coding = namespace_of(finish_s), scenario.coding
    count = scenario.devices_per_edge
    by_edge = xp.sort(xp.reshape(finish_s, (-1, coding.num_edges, count)), axis=-1)
    plain = xp.max(xp.where(by_edge < float("inf"), by_edge, 0.0), axis=-1)
    enough = _kth_smallest(by_edge, count, allocation.device_stragglers, coding.stored_device_stragglers)
    result_s = xp.where(uses_code(allocation)[:, None], enough, plain)
    return xp.where(result_s > 0, result_s + coding.edge_s * conditions.hidden.edge_tries, 0.0)


def decoding_time_s(scenario: GradientCodingScenario, edge_s: Array, allocation: Allocation) -> Array:
    """When the server has the results of n - s_e edge nodes, s, (B,); infinity if it never has."""
    coding = scenario.coding
    in_order = namespace_of(edge_s).sort(edge_s, axis=-1)
    return _kth_smallest(in_order, coding.num_edges, allocation.edge_stragglers, coding.stored_edge_stragglers)


def _kth_smallest(in_order: Array, count: int, late: Array, most_late: int) -> Array:
    """The (count - late)-th of each sorted row, `late` by episode and at most `most_late`."""
    xp, chosen = namespace_of(in_order), in_order[..., count - 1]
    for number in range(1, most_late + 1):
        shape = (late.shape[0],) + (1,) * (chosen.ndim - 1)
        chosen = xp.where(xp.reshape(late == number, shape), in_order[..., count - 1 - number], chosen)
    return chosen


def _latest_edge_s(edge_s: Array) -> Array:
    """When the last edge node with participants has sent its result, s, (B,)."""
    return namespace_of(edge_s).max(edge_s, axis=-1)


def _undone(work: Work, end_s: Array) -> Array:
    """Share of its work that each device has not done by the end of the round, (B, K)."""
    xp, finish_s = namespace_of(end_s), work.compute_s + work.upload_s
    late = work.takes_part & (finish_s > end_s[:, None])
    return xp.where(late, 1.0 - end_s[:, None] / xp.where(late, finish_s, 1.0), 0.0)


def _chosen(mask: Array, first: Array, second: Array) -> Array:
    """Row by row from one of two arrays."""
    return namespace_of(first).where(mask[:, None] if first.ndim == 2 else mask, first, second)
