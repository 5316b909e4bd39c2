"""One episode on a page: what came of it, what the devices met, what was decided.

A round t fills the span from t to t + 1 of its axis, and a state lies at the number of rounds done before it. The
layout is fixed, since a layout engine takes longer than all the drawing and moves the panels between frames.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from edgelearn_env.physics.budgets import RUNNING
from edgelearn_env.stages.episode import PlayedEpisode

SIZE_PIXELS = (1200, 800)
_DPI = 100
# Okabe and Ito's colours, told apart with any colour vision; the heat maps are read by lightness alone.
_BLACK, _ORANGE, _SKY, _GREEN, _BLUE, _RED = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
_BLANK = "#EFEFEF"
_SMALL, _MEDIUM, _LARGE = 8.5, 10.0, 12.0
_TOP, _BOTTOM, _GAP = 0.882, 0.092, 0.05
_LEFTS, _WIDE, _NARROW = (0.062, 0.390, 0.720), 0.264, 0.208
_FEWEST_ROUNDS_SHOWN, _MOST_DEVICES_NUMBERED, _MOST_TYPICAL_DURATIONS = 10, 5, 5.0


def drawn(episode: PlayedEpisode, title: str | None = None) -> Figure:
    """The page of an episode, 1200 x 800 pixels; `title` replaces its first line."""
    figure = Figure(figsize=(SIZE_PIXELS[0] / _DPI, SIZE_PIXELS[1] / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    first_line = title or f"{episode.heading}, {episode.scenario.learning.objective} bound"
    second_line = (
        f"Φ = {episode.objective[-1]:.4g}    M = {episode.num_pretrain_rounds} pre-training and "
        f"N = {episode.num_finetune_rounds} fine-tuning rounds    {episode.how_it_ended}"
    )
    figure.text(_LEFTS[0], 0.965, first_line, fontsize=_LARGE, fontweight="bold", va="center", parse_math=False)
    figure.text(_LEFTS[0], 0.935, second_line, fontsize=_LARGE - 1, va="center")
    _draw_results(figure, episode)
    _draw_conditions(figure, episode)
    _draw_decisions(figure, episode)
    return figure


def _draw_results(figure: Figure, episode: PlayedEpisode) -> None:
    """First column: the bound, the budgets, and how long each round took."""
    bound, budgets, duration = panels = _column(figure, _LEFTS[0], _WIDE, 3)
    done, psi = np.arange(episode.num_rounds + 1), episode.objective
    bound.semilogy(done, psi, color=_BLUE)
    bound.plot(done[-1:], psi[-1:], "o", color=_BLUE, markersize=5)
    side = "right" if 4 * done[-1] > _last_shown(episode, 0) else "left"
    value = bound.text(done[-1], 0.8 * psi[-1], f" {psi[-1]:.4g} ", ha=side, va="top", fontsize=_SMALL, zorder=1.5)
    value.set_bbox({"facecolor": bound.get_facecolor(), "edgecolor": "none", "pad": 1.0})
    bound.set_ylim(10 ** np.floor(np.log10(psi.min()) - 0.4), 10 ** np.ceil(np.log10(psi.max()) + 0.05))
    bound.minorticks_off()
    _label(bound, "Bound on the squared gradient norm", "Φ so far (dimensionless)")
    limits, state = episode.scenario.budgets, episode.states
    for name, used, limit, unit, colour in (
        ("delay", state.elapsed_s, limits.delay_s, "s", _BLUE),
        ("energy", state.spent_j, limits.energy_j, "J", _RED),
    ):
        budgets.plot(done, 100 * used / limit, color=colour, label=f"{name}: {used[-1]:.4g} of {limit:g} {unit}")
    budgets.axhline(100, color=_BLACK, linewidth=1)
    budgets.set_ylim(0, 109)
    _label(budgets, "Budgets used; the line is the limit", "% of the budget")
    _draw_durations(duration, episode)
    budgets.legend(loc="upper left", bbox_to_anchor=(0, 0.92), fontsize=_SMALL, framealpha=1.0)
    _number_rounds(panels, episode, 0, _last_shown(episode, 0))
    if bound.get_legend_handles_labels()[0]:
        bound.legend(loc="upper right", fontsize=_SMALL, framealpha=1.0)


def _draw_durations(axes: Axes, episode: PlayedEpisode) -> None:
    """Stacks of the server's time, or of the times of the device that the round waited for."""
    parts = _parts_of_durations(episode)
    highest_s, longest_s = _highest_shown_s(episode), float(np.max(episode.outcomes.duration_s, initial=0.0))
    base = np.zeros(max(episode.num_rounds, 1))
    for (name, part_s), colour in zip(parts.items(), (_SKY, _RED, _GREEN, _ORANGE, _BLACK), strict=True):
        top = base + (part_s if episode.num_rounds else 0.0)
        shown = np.minimum(top, highest_s)
        axes.stairs(
            shown, np.arange(len(top) + 1), baseline=np.minimum(base, shown), fill=True, color=colour, label=name
        )
        base = top
    cut = np.flatnonzero(episode.outcomes.duration_s > highest_s)
    axes.plot(cut + 0.5, np.full(len(cut), 1.03 * highest_s), "^", color=_BLACK, markersize=4)
    axes.set_ylim(0, 1.3 * highest_s)
    factor, unit = (1.0, "s") if highest_s > 0.1 else (1e3, "ms")
    axes.yaxis.set_major_formatter(lambda duration_s, _: f"{factor * duration_s:.3g}")
    spacing = {"columnspacing": 0.6, "handlelength": 0.8, "handletextpad": 0.3, "borderpad": 0.2, "framealpha": 1.0}
    axes.legend(loc="upper center", ncols=5, fontsize=_SMALL, edgecolor="none", **spacing)
    heading = "Where a round's time goes" + (f" (▲ up to {longest_s:.3g} s)" if len(cut) else "")
    _label(axes, heading, f"slowest device, {unit}")


def _parts_of_durations(episode: PlayedEpisode) -> dict[str, np.ndarray]:
    """What adds up to the duration of each round, s, (T,)."""
    outcomes, rounds, first = episode.outcomes, np.arange(episode.num_rounds), episode.num_pretrain_rounds
    slowest = np.argmax(episode.device_finish_s, axis=-1)
    parts = {
        "server": np.where(rounds < first, outcomes.duration_s, 0.0),
        "idle": np.where(np.any(outcomes.devices.participates, axis=1), 0.0, outcomes.duration_s) * (rounds >= first),
        "compute": outcomes.devices.compute_s[rounds, slowest],
        "upload": outcomes.devices.upload_s[rounds, slowest],
    }
    return {**parts, "downlink": outcomes.duration_s - sum(parts.values())}


def _highest_shown_s(episode: PlayedEpisode) -> float:
    """Longest duration drawn whole: a few rounds in a deep fade would flatten all others."""
    if not episode.num_rounds:
        return 1.0
    stages_s = np.split(episode.outcomes.duration_s, [episode.num_pretrain_rounds])
    typical_s = max(np.median(stage_s) for stage_s in stages_s if len(stage_s))
    return float(min(np.max(episode.outcomes.duration_s), _MOST_TYPICAL_DURATIONS * typical_s))


def _draw_conditions(figure: Figure, episode: PlayedEpisode) -> None:
    """Second column: channel, harvest and battery of every device."""
    channel, harvest, battery = panels = _column(figure, _LEFTS[1], _NARROW, 3)
    gain, energy = episode.conditions.channel_gain, episode.scenario.energy
    gain_db = 10 * np.log10(np.where(gain > 0, gain, np.nan))
    known = gain_db[np.isfinite(gain_db)]
    low, high = np.percentile(known if known.size else 10 * np.log10(episode.scenario.mean_channel_gain), [1, 99]) / 5
    _heat_map(channel, gain_db, 0, Normalize(5 * np.floor(low), 5 * np.floor(high + 1)), "viridis")
    _label(channel, "Channel gain, dB", "device")
    harvest_mw = 1e3 * episode.conditions.harvest_w
    most_mw = max(2e3 * np.max(energy.harvest_mean_w), harvest_mw.max(initial=0.0)) or 1.0
    off_to_on = LinearSegmentedColormap.from_list("off to on", ["white", _SKY])
    _heat_map(harvest, harvest_mw, 0, Normalize(0, most_mw), off_to_on)
    _label(harvest, "Harvested power, mW", "device")
    _heat_map(battery, episode.states.battery_j[1:], 0, Normalize(0, np.max(energy.battery_capacity_j)), "viridis")
    _label(battery, "Battery charge after the round, J", "device")
    _number_rounds(panels, episode, 0, _last_shown(episode, 0))


def _draw_decisions(figure: Figure, episode: PlayedEpisode) -> None:
    """Third column: the server's decisions while pre-training, the devices' while fine-tuning, of those taking part."""
    server, *panels = _column(figure, _LEFTS[2], _NARROW, 4)
    left, bottom, width, height = server.get_position().bounds
    server.set_position((left, bottom + 0.03, width, height - 0.03))
    _draw_server(server, episode)
    devices, decided = episode.scenario.devices, episode.allocations
    first, participates = episode.num_pretrain_rounds, episode.outcomes.devices.participates
    freq_ghz = Normalize(1e-9 * np.min(devices.freq_min_hz), 1e-9 * np.max(devices.freq_max_hz))
    power_mw = LogNorm(1e3 * np.min(devices.power_min_w), 1e3 * np.max(devices.power_max_w))
    for axes, heading, values, norm in (
        (panels[0], "Fine-tuning (blank: silent): clock, GHz", 1e-9 * decided.freq_hz, freq_ghz),
        (panels[1], "Transmit power, mW", 1e3 * decided.power_w, power_mw),
        (panels[2], "Batch, samples", decided.batch, LogNorm(1, np.max(devices.batch_max))),
    ):
        # Blank where a device is silent.
        _heat_map(axes, np.where(participates, values, np.nan)[first:], first, norm, "viridis")
        _label(axes, heading, "device")
    _number_rounds(panels, episode, first, _last_shown(episode, first))


def _draw_server(axes: Axes, episode: PlayedEpisode) -> None:
    """Clock frequency and batch of the pre-training rounds, between 0 and the server's limits."""
    server, count = episode.scenario.server, episode.num_pretrain_rounds
    _label(axes, "Pre-training: server", "")
    for side, values, highest, name, colour in (
        (axes, 1e-9 * episode.allocations.server_freq_hz, 1e-9 * server.freq_max_hz, "frequency, GHz", _BLUE),
        (axes.twinx(), episode.allocations.server_batch, server.batch_max, "batch, samples", _RED),
    ):
        if count:
            side.stairs(values[:count], np.arange(count + 1), baseline=None, color=colour, linewidth=1.5)
        side.set_ylim(0, 1.05 * highest)
        side.set_ylabel(name, fontsize=_SMALL, color=colour)
        side.tick_params(axis="y", labelsize=_SMALL, colors=colour)
    if not count:
        _say_no_round(axes)
    until_now = _last_shown(episode, 0) if not episode.num_finetune_rounds else count
    _number_rounds([axes], episode, 0, max(until_now, 1))


def _column(figure: Figure, left: float, width: float, count: int) -> list[Axes]:
    """Panels below one another, from the top of the page to its bottom."""
    height = (_TOP - _BOTTOM + _GAP) / count - _GAP
    panels = [figure.add_axes((left, _TOP - height - i * (height + _GAP), width, height)) for i in range(count)]
    panels[-1].set_xlabel("round and time elapsed", fontsize=_SMALL)
    return panels


def _label(axes: Axes, heading: str, quantity: str) -> None:
    # A position given by hand spares the search for free room, a quarter of the drawing time.
    axes.set_title(heading, fontsize=_MEDIUM, loc="left", pad=4, y=1.0)
    axes.set_ylabel(quantity, fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALL)


def _heat_map(axes: Axes, values: np.ndarray, first_round: int, norm: Normalize, colours: str | Colormap) -> None:
    """One row a device, one column a round, with its scale at the right; `values` (T, K)."""
    num_rounds, num_devices = values.shape
    shown = values if num_rounds else np.full((1, num_devices), np.nan)
    extent = (first_round, first_round + len(shown), num_devices - 0.5, -0.5)
    image = axes.imshow(shown.T, extent=extent, aspect="auto", interpolation="nearest", norm=norm, cmap=colours)
    if not num_rounds:
        _say_no_round(axes)
    axes.set_facecolor(_BLANK)
    axes.set_yticks(range(0, num_devices, math.ceil(num_devices / _MOST_DEVICES_NUMBERED)))
    left, bottom, width, height = axes.get_position().bounds
    scale = axes.figure.colorbar(image, cax=axes.figure.add_axes((left + width + 0.007, bottom, 0.011, height)))
    scale.ax.tick_params(labelsize=_SMALL)
    scale.minorticks_off()


def _say_no_round(axes: Axes) -> None:
    axes.set_facecolor(_BLANK)
    axes.text(0.5, 0.5, "no round", transform=axes.transAxes, ha="center", va="center", fontsize=_SMALL)


def _last_shown(episode: PlayedEpisode, first: int) -> int:
    """Where the axis of rounds ends: at the last round, with some room ahead at the start of a running episode."""
    fewest = min(_FEWEST_ROUNDS_SHOWN, episode.scenario.budgets.max_rounds) if episode.end_reason == RUNNING else 1
    return max(episode.num_rounds, first + fewest)


def _number_rounds(panels: list[Axes], episode: PlayedEpisode, first: int, last: int) -> None:
    """Give panels below one another the same axis of rounds, with the time elapsed, and mark the switch."""
    elapsed_s, switch = episode.states.elapsed_s, episode.num_pretrain_rounds

    decimals = 0 if elapsed_s[-1] >= 20 else 1 if elapsed_s[-1] >= 2 else 2

    def round_and_time(position: float, _: int) -> str:
        if not 0 <= position <= episode.num_rounds:
            return f"{position:.0f}\n"
        then_s = elapsed_s[round(position)]
        return f"{position:.0f}\n{then_s:.{decimals if then_s else 0}f} s"

    for axes in panels:
        axes.set_xlim(first, last)
        axes.xaxis.set_major_locator(NullLocator())
        if first < switch < min(last, episode.num_rounds):
            # Above the images, below the curves.
            axes.axvline(switch, color="white", linewidth=2.5, zorder=0.9)
            axes.axvline(switch, color=_BLACK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=0.9, label="switch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[-1].xaxis.set_major_formatter(FuncFormatter(round_and_time))
