"""One episode with coded rounds on a page: what came of it, who worked on it, what was met and decided."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from edgelearn_env.gradient_coding.episode import ROLES, CodedEpisode
from edgelearn_env.stages import panels
from edgelearn_env.stages.page_layout import (
    BLACK,
    BLUE,
    GREEN,
    LEFTS,
    MEDIUM,
    NARROW,
    ORANGE,
    SKY,
    SMALL,
    WIDE,
    column,
    device_map,
    headed_page,
    heat_map,
    label,
    last_shown,
    number_rounds,
    say_no_round,
)

_COLOUR_OF_ROLE = (GREEN, SKY, ORANGE, "#666666", "white")
_TINY, _MOST_EDGES_NUMBERED = 7.5, 5
# How a legend stands under a heading.
_BESIDE = {
    "frameon": False,
    "borderpad": 0.0,
    "borderaxespad": 0.1,
    "columnspacing": 0.7,
    "handletextpad": 0.3,
}


def drawn(episode: CodedEpisode, title: str | None = None) -> Figure:
    """The page of an episode, 1200 x 800 pixels; `title` replaces its first line."""
    figure = headed_page(episode, title)
    _draw_results(figure, episode)
    _draw_conditions(figure, episode)
    _draw_decisions(figure, episode)
    return figure


def _draw_results(figure: Figure, episode: CodedEpisode) -> None:
    """First column: the bound, the budgets, how long each round took, its code, and who worked."""
    bound, budgets, duration, code, who = axes = column(figure, LEFTS[0], WIDE, [17, 16, 24, 12, 27])
    panels.draw_bound(bound, episode)
    bound.set_ylabel("Φ so far", fontsize=SMALL)
    panels.draw_budgets(budgets, episode)
    budgets.set_ylabel("% used", fontsize=SMALL)
    panels.draw_durations(duration, episode, _parts_of_durations(episode), "last waited for")
    _draw_codes(code, episode)
    _draw_roles(who, episode)
    number_rounds(axes, episode, 0, last_shown(episode, 0))
    if bound.get_legend_handles_labels()[0]:
        bound.legend(loc="upper right", fontsize=SMALL, framealpha=1.0)


def _parts_of_durations(episode: CodedEpisode) -> dict[str, np.ndarray]:
    """The server's time, or that of the device and the edge node that were waited for last; adds up, s, (T,)."""
    outcomes, rounds, radio = episode.outcomes, np.arange(episode.num_rounds), episode.scenario.radio
    pretraining, decoded = rounds < episode.num_pretrain_rounds, outcomes.coded.decoded
    last, devices = episode.last_waited_for, outcomes.devices
    compute_s, upload_s = devices.compute_s[rounds, last], devices.upload_s[rounds, last]
    edge_s = np.max(outcomes.coded.edge_s, axis=-1) - compute_s - upload_s
    return {
        "server": np.where(pretraining, outcomes.duration_s, 0.0),
        "idle": np.where(pretraining | decoded, 0.0, radio.idle_s),
        "compute": compute_s,
        "upload": upload_s,
        "edge node": np.where(decoded, edge_s, 0.0),
        "downlink": np.where(decoded, radio.downlink_s, 0.0),
    }


def _draw_codes(axes: Axes, episode: CodedEpisode) -> None:
    """How many late edge nodes and devices the code of each fine-tuning round makes up for."""
    coding, decided = episode.scenario.coding, episode.allocations
    most = max(coding.stored_edge_stragglers, coding.stored_device_stragglers)
    numbers = np.stack([decided.edge_stragglers, decided.device_stragglers], axis=-1)
    lost = episode.coded & ~episode.outcomes.coded.decoded
    numbers = np.where(lost[:, None], most + 1, numbers)
    shown = np.where(episode.states.finetuning[1:, None], numbers, np.nan)
    shades = LinearSegmentedColormap.from_list("none to most", ["white", BLUE])(np.linspace(0, 1, most + 1))
    norm = BoundaryNorm(np.arange(most + 3) - 0.5, most + 2)
    scale = heat_map(axes, shown, 0, norm, ListedColormap([*shades, to_rgba(BLACK)]))
    scale.set_ticks(sorted({0, most}))
    scale.ax.tick_params(labelsize=_TINY, length=2, pad=1)
    label(axes, "Code: how many may be late (black: lost)", "")
    axes.set_yticks([0, 1], ["edges", "devices"])


def _draw_roles(axes: Axes, episode: CodedEpisode) -> None:
    """Who was waited for, who was late, who was not asked."""
    roles = np.where(episode.states.finetuning[1:, None], episode.roles, np.nan)
    norm = BoundaryNorm(np.arange(len(ROLES) + 1) - 0.5, len(ROLES))
    device_map(axes, roles, 0, cmap=ListedColormap(_COLOUR_OF_ROLE), norm=norm)
    _separate_edges([axes], episode, BLACK)
    per_edge, num_edges = episode.scenario.devices_per_edge, episode.scenario.coding.num_edges
    for edge in range(0, num_edges, -(-num_edges // _MOST_EDGES_NUMBERED)):
        middle = (edge + 0.5) * per_edge - 0.5
        axes.text(1.02, middle, f"{edge}", transform=axes.get_yaxis_transform(), fontsize=SMALL, va="center")
    patches = [
        Patch(facecolor=colour, edgecolor=BLACK, linewidth=0.5, label=role)
        for role, colour in zip(ROLES, _COLOUR_OF_ROLE, strict=True)
    ]
    axes.legend(
        handles=patches, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, handlelength=0.8, fontsize=_TINY, **_BESIDE
    )
    label(axes, "", "device")
    axes.set_title("Who worked (at the right: edge node)", fontsize=MEDIUM, loc="left", pad=16, y=1.0)


def _draw_conditions(figure: Figure, episode: CodedEpisode) -> None:
    """Second column: channel and battery of every device, how much it was slowed, how often it had to send."""
    channel, slowdown, tries, battery = axes = column(figure, LEFTS[1], NARROW, [1, 1, 1, 1])
    panels.draw_channel(channel, episode)
    seen, finetuning = episode.states.seen, episode.states.finetuning[1:, None]
    for panel, heading, values in (
        (slowdown, "Slow-down, times as long", seen.slowdown),
        (tries, "Tries to send", seen.tries),
    ):
        shown, most = np.where(finetuning, values[1:], np.nan), max(2.0, float(np.max(values)))
        scale = heat_map(panel, shown, 0, LogNorm(1, most), "viridis")
        scale.set_ticks([1.0, most], labels=["1", f"{most:.3g}"])
        label(panel, heading, "device")
        if not episode.num_finetune_rounds:
            say_no_round(panel)
    panels.draw_battery(battery, episode)
    _separate_edges(axes, episode)
    number_rounds(axes, episode, 0, last_shown(episode, 0))


def _draw_decisions(figure: Figure, episode: CodedEpisode) -> None:
    """Third column: the server's decisions while pre-training, the devices' while fine-tuning, of those who worked."""
    server, clock, power, load = column(figure, LEFTS[2], NARROW, [1, 1, 1, 1])
    left, bottom, width, height = server.get_position().bounds
    server.set_position((left, bottom + 0.03, width, height - 0.03))
    panels.draw_server(server, episode)
    panels.draw_clocks(clock, episode)
    panels.draw_powers(power, episode)
    most = np.max(episode.scenario.devices.batch_max) * episode.scenario.copies
    panels.draw_decision(load, episode, episode.outcomes.coded.load, LogNorm(1, most))
    label(load, "Load: own and others' samples", "device")
    _separate_edges([clock, power, load], episode)
    first = episode.num_pretrain_rounds
    number_rounds([clock, power, load], episode, first, last_shown(episode, first))


def _separate_edges(maps: Sequence[Axes], episode: CodedEpisode, colour: str = "white") -> None:
    """Draw a line between the devices of one edge node and those of the next."""
    per_edge = episode.scenario.devices_per_edge
    for axes in maps:
        for first in range(per_edge, episode.scenario.num_devices, per_edge):
            axes.axhline(first - 0.5, color=colour, linewidth=1.0, zorder=0.8)
