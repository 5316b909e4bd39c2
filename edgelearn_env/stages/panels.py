"""Panels that the pages of all systems have: what came of an episode, what devices met, what was decided."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

from edgelearn_env.stages import page_layout
from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.stages.page_layout import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SMALL,
    heat_map,
    label,
    last_shown,
    number_rounds,
)

# Of the parts that a round's time goes into.
_COLOURS = {"server": SKY, "idle": RED, "compute": GREEN, "upload": ORANGE, "edge node": PURPLE, "downlink": BLACK}
_MOST_TYPICAL_DURATIONS, _MOST_IN_A_LINE = 5.0, 5


def draw_bound(axes: Axes, episode: PlayedEpisode) -> None:
    """The learning bound, from before the first round to after the last."""
    done, psi = np.arange(episode.num_rounds + 1), episode.objective
    axes.semilogy(done, psi, color=BLUE)
    axes.plot(done[-1:], psi[-1:], "o", color=BLUE, markersize=5)
    side = "right" if 4 * done[-1] > last_shown(episode, 0) else "left"
    value = axes.text(done[-1], 0.8 * psi[-1], f" {psi[-1]:.4g} ", ha=side, va="top", fontsize=SMALL, zorder=1.5)
    value.set_bbox({"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1.0})
    axes.set_ylim(10 ** np.floor(np.log10(psi.min()) - 0.4), 10 ** np.ceil(np.log10(psi.max()) + 0.05))
    axes.minorticks_off()
    label(axes, "Bound on the squared gradient norm", "Φ so far (dimensionless)")


def draw_budgets(axes: Axes, episode: PlayedEpisode) -> None:
    """Shares of time and energy used up."""
    done, limits, state = np.arange(episode.num_rounds + 1), episode.scenario.budgets, episode.states
    for name, used, limit, unit, colour in (
        ("delay", state.elapsed_s, limits.delay_s, "s", BLUE),
        ("energy", state.spent_j, limits.energy_j, "J", RED),
    ):
        axes.plot(done, 100 * used / limit, color=colour, label=f"{name}: {used[-1]:.4g} of {limit:g} {unit}")
    axes.axhline(100, color=BLACK, linewidth=1)
    axes.set_ylim(0, 109)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.92), fontsize=SMALL, framealpha=1.0)
    label(axes, "Budgets used; the line is the limit", "% of the budget")


def draw_durations(axes: Axes, episode: PlayedEpisode, parts: Mapping[str, np.ndarray], whose: str) -> None:
    """What each round's time went into, as a stack.

    Args:
        axes: where.
        episode: which.
        parts: what adds up to the duration of each round, s, (T,), by name.
        whose: times they are, in words.
    """
    highest_s, longest_s = _highest_shown_s(episode), float(np.max(episode.outcomes.duration_s, initial=0.0))
    base = np.zeros(max(episode.num_rounds, 1))
    for name, part_s in parts.items():
        top = base + (part_s if episode.num_rounds else 0.0)
        shown, rounds = np.minimum(top, highest_s), np.arange(len(top) + 1)
        axes.stairs(shown, rounds, baseline=np.minimum(base, shown), fill=True, color=_COLOURS[name], label=name)
        base = top
    cut = np.flatnonzero(episode.outcomes.duration_s > highest_s)
    axes.plot(cut + 0.5, np.full(len(cut), 1.03 * highest_s), "^", color=BLACK, markersize=4)
    num_lines = -(-len(parts) // _MOST_IN_A_LINE)
    axes.set_ylim(0, (1 + 0.3 * num_lines) * highest_s)
    factor, unit = (1.0, "s") if highest_s > 0.1 else (1e3, "ms")
    axes.yaxis.set_major_formatter(lambda duration_s, _: f"{factor * duration_s:.3g}")
    spacing = {"columnspacing": 0.6, "handlelength": 0.8, "handletextpad": 0.3, "borderpad": 0.2, "framealpha": 1.0}
    axes.legend(loc="upper center", ncols=-(-len(parts) // num_lines), fontsize=SMALL, edgecolor="none", **spacing)
    heading = "Where a round's time goes" + (f" (▲ up to {longest_s:.3g} s)" if len(cut) else "")
    label(axes, heading, f"{whose}, {unit}")


def _highest_shown_s(episode: PlayedEpisode) -> float:
    """Longest duration drawn whole: a few rounds in a deep fade would flatten all others."""
    if not episode.num_rounds:
        return 1.0
    stages_s = np.split(episode.outcomes.duration_s, [episode.num_pretrain_rounds])
    typical_s = max(np.median(stage_s) for stage_s in stages_s if len(stage_s))
    return float(min(np.max(episode.outcomes.duration_s), _MOST_TYPICAL_DURATIONS * typical_s))


def draw_channel(axes: Axes, episode: PlayedEpisode) -> None:
    """Channel gain of every device."""
    gain = episode.conditions.channel_gain
    gain_db = 10 * np.log10(np.where(gain > 0, gain, np.nan))
    known = gain_db[np.isfinite(gain_db)]
    low, high = np.percentile(known if known.size else 10 * np.log10(episode.scenario.mean_channel_gain), [1, 99]) / 5
    heat_map(axes, gain_db, 0, Normalize(5 * np.floor(low), 5 * np.floor(high + 1)), "viridis")
    label(axes, "Channel gain, dB", "device")


def draw_harvest(axes: Axes, episode: PlayedEpisode) -> None:
    """What every device harvests."""
    harvest_mw = 1e3 * episode.conditions.harvest_w
    most_mw = max(2e3 * np.max(episode.scenario.energy.harvest_mean_w), harvest_mw.max(initial=0.0)) or 1.0
    off_to_on = LinearSegmentedColormap.from_list("off to on", ["white", SKY])
    heat_map(axes, harvest_mw, 0, Normalize(0, most_mw), off_to_on)
    label(axes, "Harvested power, mW", "device")


def draw_battery(axes: Axes, episode: PlayedEpisode) -> None:
    """Charge of every battery after each round."""
    capacity_j = np.max(episode.scenario.energy.battery_capacity_j)
    heat_map(axes, episode.states.battery_j[1:], 0, Normalize(0, capacity_j), "viridis")
    label(axes, "Battery charge after the round, J", "device")


def draw_clocks(axes: Axes, episode: PlayedEpisode) -> None:
    """Clock frequencies of the devices while fine-tuning, blank where one is silent."""
    devices = episode.scenario.devices
    norm = Normalize(1e-9 * np.min(devices.freq_min_hz), 1e-9 * np.max(devices.freq_max_hz))
    draw_decision(axes, episode, 1e-9 * episode.allocations.freq_hz, norm)
    label(axes, "Fine-tuning (blank: silent): clock, GHz", "device")


def draw_powers(axes: Axes, episode: PlayedEpisode) -> None:
    """Transmit powers, likewise."""
    devices = episode.scenario.devices
    norm = LogNorm(1e3 * np.min(devices.power_min_w), 1e3 * np.max(devices.power_max_w))
    draw_decision(axes, episode, 1e3 * episode.allocations.power_w, norm)
    label(axes, "Transmit power, mW", "device")


def draw_decision(axes: Axes, episode: PlayedEpisode, values: np.ndarray, norm: Normalize) -> None:
    """What was decided for each device that took part in each fine-tuning round, of values (T, K)."""
    first, participates = episode.num_pretrain_rounds, episode.outcomes.devices.participates
    heat_map(axes, np.where(participates, values, np.nan)[first:], first, norm, "viridis")


def draw_server(axes: Axes, episode: PlayedEpisode) -> None:
    """Clock frequency and batch of the pre-training rounds, between 0 and the server's limits."""
    server, count = episode.scenario.server, episode.num_pretrain_rounds
    label(axes, "Pre-training: server", "")
    for side, values, highest, name, colour in (
        (axes, 1e-9 * episode.allocations.server_freq_hz, 1e-9 * server.freq_max_hz, "frequency, GHz", BLUE),
        (axes.twinx(), episode.allocations.server_batch, server.batch_max, "batch, samples", RED),
    ):
        if count:
            side.stairs(values[:count], np.arange(count + 1), baseline=None, color=colour, linewidth=1.5)
        side.set_ylim(0, 1.05 * highest)
        side.set_ylabel(name, fontsize=SMALL, color=colour)
        side.tick_params(axis="y", labelsize=SMALL, colors=colour)
    if not count:
        page_layout.say_no_round(axes)
    until_now = last_shown(episode, 0) if not episode.num_finetune_rounds else count
    number_rounds([axes], episode, 0, max(until_now, 1))
