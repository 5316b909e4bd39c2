"""One learning round of layer tuning: the transition, pure, batched, in any array library.

What all systems share of it is in `stages.dynamics`; here is a fine-tuning round in which each device trains the last
blocks of a net and its head, as many as were decided for it and fit into its memory. Source of the scheme: layer
finetuning in federated learning under device constraints; what a round costs and brings is this package's own model.

Untrained blocks return unchanged: a round moves block q by the mean over all devices, in which those that did not train
it count as no change, so that the bound adds up over devices.
"""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_last_axis
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.records import Allocation, LayerRound, Outcome, State
from edgelearn_env.stages import dynamics as stages
from edgelearn_env.stages import records
from edgelearn_env.stages.bounds import dissimilarity_share
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.synchronous import synchronous_round
from edgelearn_env.tapes.tape import Conditions


class Levels(NamedTuple):
    """What devices train of which net, as it is played.

    Attributes:
        depth: l, (B,) integers.
        place: its index among the depths, (B,) integers.
        blocks: t_k, 0 for those that train nothing, (B, K) integers.
        asked: as many as were decided, if they fitted, (B, K) integers.
    """

    depth: Array
    place: Array
    blocks: Array
    asked: Array


def initial_state(constants: LayerConstants, batch_size: int) -> State:
    """B episodes before their first round."""
    staged = stages.initial_state(constants.staged, batch_size)
    xp = namespace_of(staged.battery_j)
    terms = xp.stack([staged.elapsed_s + bound.pretrain_start for bound in constants.bounds]).T
    state = State(**staged._asdict(), depth=staged.round_index + 0, pretrain_terms=terms)
    return _with_net_in_charge(constants, state, losses_of_nets(constants, state))


def step(
    constants: LayerConstants, state: State, conditions: Conditions, allocation: Allocation
) -> tuple[State, Outcome]:
    """Do one round in each of B episodes; see `stages.dynamics.step`."""
    xp = namespace_of(state.battery_j)
    levels = played_levels(constants, state, allocation)
    at, staged = as_staged(constants, levels, allocation)
    finetuning = synchronous_round(at, state.battery_j, conditions, staged)
    after, outcome = stages.step(at, state, conditions, staged, finetuning)
    unlike = dissimilarity_shares(constants, levels, outcome.devices.participates)
    unlike = constants.scenario.learning.dissimilarity * unlike
    after = after._replace(
        bound_terms=after.bound_terms._replace(finetune_term=after.bound_terms.finetune_term + unlike),
        depth=xp.where(after.finetuning, levels.depth, 0),
        pretrain_terms=_pretrain_terms_after(constants, state, allocation, outcome.counted & ~after.finetuning),
    )
    losses = losses_of_nets(constants, after)
    after = _with_net_in_charge(constants, after, losses)
    before_j, after_j = objective(constants, state), _loss_in_charge(constants, after, losses)
    played = outcome._replace(reward=xp.log(before_j) - xp.log(after_j), objective=after_j)
    layers = _trained(constants, levels, allocation.batch, played.devices.participates)
    lowered = layers.lowered & (outcome.counted & after.finetuning)[:, None]
    return after, Outcome(**played._asdict(), layers=layers._replace(lowered=lowered))


def planned_round(
    constants: LayerConstants, state: State, conditions: Conditions, allocation: Allocation
) -> records.PlannedRound:
    """What the round would be if no budget applied; see `stages.dynamics.planned_round`."""
    at, staged = as_staged(constants, played_levels(constants, state, allocation), allocation)
    finetuning = synchronous_round(at, state.battery_j, conditions, staged)
    return stages.planned_round(at, state, staged, finetuning)


def as_staged(
    constants: LayerConstants, levels: Levels, allocation: Allocation
) -> tuple[Constants, records.Allocation]:
    """A round at those levels as every system of two stages has it: what it reads, and what was decided."""
    batch = namespace_of(allocation.batch).where(levels.blocks > 0, allocation.batch, 0.0)
    return constants.at(levels.place, levels.blocks), allocation.staged._replace(batch=batch)


def played_levels(constants: LayerConstants, state: State, allocation: Allocation) -> Levels:
    """The net, chosen with this round or before, and the levels: as decided, as the net has, as memories hold."""
    xp = namespace_of(state.battery_j)
    depth = xp.where(state.finetuning, state.depth, allocation.depth)
    place = constants.place_of(depth)
    asked = xp.minimum(allocation.blocks, depth[:, None])
    asked = xp.where(allocation.batch < 1, 0, asked)
    blocks = xp.minimum(asked, blocks_that_fit(constants, place, allocation.batch))
    return Levels(depth, place, blocks, asked)


def blocks_that_fit(constants: LayerConstants, place: Array, batch: Array) -> Array:
    """How many last blocks each device's memory holds with its batch, more than the net has if all do, (B, K)."""
    xp = namespace_of(batch)
    most = constants.by_device(constants.most_batch, place[:, None], constants.levels[:, None])
    # What is not a number fits, and makes a round that no budget allows.
    return xp.sum(xp.astype(~(batch[:, None, :] > most), place.dtype), axis=1)


def memory_byte(constants: LayerConstants, place: Array, blocks: Array, batch: Array) -> Array:
    """M(l, t, b): the most that a device holds while it trains t blocks with a batch of b, in bytes, (B, K)."""
    tables = (constants.held_byte, constants.sample_byte)
    held, each = (constants.by_level(table, place, blocks) for table in tables)
    return held + each * namespace_of(batch).ceil(batch)


def dissimilarity_shares(constants: LayerConstants, levels: Levels, participates: Array) -> Array:
    """sum_q (rho_q - rho_{q-1}) beta(Omega_q), Omega_q being the weight of those who train block q, (B,).

    What zeta^2 counts in a round: with those parts of it in the blocks, the inequality that holds of a model holds of
    each block.
    """
    xp, weight = namespace_of(levels.blocks), constants.staged.device_weight
    block = constants.levels
    trained = participates[:, None, :] & (levels.blocks[:, None, :] >= block[:, None])
    omega = sum_over_last_axis(weight * xp.astype(trained, weight.dtype))
    share = constants.by_level(constants.block_share, levels.place, block)
    return sum_over_last_axis(share * dissimilarity_share(omega))


def objective(constants: LayerConstants, state: State) -> Array:
    """J = floor_l + Psi / (2 mu): a bound on the task loss above its least over all nets, (B,).

    Before the switch it is that of the net that would end best now.
    """
    return _loss_in_charge(constants, state, losses_of_nets(constants, state))


def losses_of_nets(constants: LayerConstants, state: State) -> Array:
    """What J is with each of the nets; of those that were not chosen as if they had been, (B, D)."""
    xp, terms = namespace_of(state.battery_j), state.bound_terms
    each = [
        bound.value(terms._replace(pretrain_term=state.pretrain_terms[:, place]))
        for place, bound in enumerate(constants.bounds)
    ]
    return constants.floor + xp.stack(each).T / (2 * constants.scenario.learning.pl_constant)


def _loss_in_charge(constants: LayerConstants, state: State, losses: Array) -> Array:
    """That of the chosen net, or the least of all, (B,)."""
    xp, chosen = namespace_of(losses), _column(losses, constants.place_of(state.depth))
    return xp.where(state.finetuning, chosen, xp.min(losses, axis=1))


def _with_net_in_charge(constants: LayerConstants, state: State, losses: Array) -> State:
    """The state whose `bound_terms` are those of the chosen net, or of the one that would end best now."""
    xp = namespace_of(losses)
    place = xp.where(state.finetuning, constants.place_of(state.depth), xp.argmin(losses, axis=1))
    term = _column(state.pretrain_terms, place)
    return state._replace(bound_terms=state.bound_terms._replace(pretrain_term=term))


def _pretrain_terms_after(constants: LayerConstants, state: State, allocation: Allocation, pretrained: Array) -> Array:
    """What the server has done for every net, (B, D)."""
    xp = namespace_of(state.battery_j)
    moved = [
        bound.after_pretrain_round(state.pretrain_terms[:, place], allocation.server_batch)
        for place, bound in enumerate(constants.bounds)
    ]
    return xp.where(pretrained[:, None], xp.stack(moved).T, state.pretrain_terms)


def _trained(constants: LayerConstants, levels: Levels, batch: Array, participates: Array) -> LayerRound:
    """What those who took part trained and held; `lowered` whatever became of it."""
    xp = namespace_of(batch)
    held = memory_byte(constants, levels.place, levels.blocks, batch)
    return LayerRound(
        blocks=xp.where(participates, levels.blocks, 0),
        memory_byte=xp.where(participates, held, 0.0),
        lowered=levels.blocks < levels.asked,
    )


def _column(table: Array, place: Array) -> Array:
    """The entry of each row at its place, (B,)."""
    xp, chosen = namespace_of(table), table[:, 0]
    for index in range(1, table.shape[1]):
        chosen = xp.where(place == index, table[:, index], chosen)
    return chosen
