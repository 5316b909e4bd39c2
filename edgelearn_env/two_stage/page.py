"""One episode on a page: what came of it, what the devices met, what was decided."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from edgelearn_env.stages import panels
from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.stages.page_layout import (
    LEFTS,
    NARROW,
    SMALL,
    WIDE,
    column,
    headed_page,
    label,
    last_shown,
    number_rounds,
)


def drawn(episode: PlayedEpisode, title: str | None = None) -> Figure:
    """The page of an episode, 1200 x 800 pixels; `title` replaces its first line."""
    figure = headed_page(episode, title)
    _draw_results(figure, episode)
    _draw_conditions(figure, episode)
    _draw_decisions(figure, episode)
    return figure


def _draw_results(figure: Figure, episode: PlayedEpisode) -> None:
    """First column: the bound, the budgets, and how long each round took."""
    bound, budgets, duration = axes = column(figure, LEFTS[0], WIDE, [1, 1, 1])
    panels.draw_bound(bound, episode)
    panels.draw_budgets(budgets, episode)
    panels.draw_durations(duration, episode, _parts_of_durations(episode), "slowest device")
    number_rounds(axes, episode, 0, last_shown(episode, 0))
    if bound.get_legend_handles_labels()[0]:
        bound.legend(loc="upper right", fontsize=SMALL, framealpha=1.0)


def _parts_of_durations(episode: PlayedEpisode) -> dict[str, np.ndarray]:
    """The server's time, or that of the device that the round waited for; adds up to the durations, s, (T,)."""
    outcomes, rounds, first = episode.outcomes, np.arange(episode.num_rounds), episode.num_pretrain_rounds
    slowest = np.argmax(episode.device_finish_s, axis=-1)
    parts = {
        "server": np.where(rounds < first, outcomes.duration_s, 0.0),
        "idle": np.where(np.any(outcomes.devices.participates, axis=1), 0.0, outcomes.duration_s) * (rounds >= first),
        "compute": outcomes.devices.compute_s[rounds, slowest],
        "upload": outcomes.devices.upload_s[rounds, slowest],
    }
    return {**parts, "downlink": outcomes.duration_s - sum(parts.values())}


def _draw_conditions(figure: Figure, episode: PlayedEpisode) -> None:
    """Second column: channel, harvest and battery of every device."""
    channel, harvest, battery = axes = column(figure, LEFTS[1], NARROW, [1, 1, 1])
    panels.draw_channel(channel, episode)
    panels.draw_harvest(harvest, episode)
    panels.draw_battery(battery, episode)
    number_rounds(axes, episode, 0, last_shown(episode, 0))


def _draw_decisions(figure: Figure, episode: PlayedEpisode) -> None:
    """Third column: the server's decisions while pre-training, the devices' while fine-tuning, of those taking part."""
    server, clock, power, batch = column(figure, LEFTS[2], NARROW, [1, 1, 1, 1])
    left, bottom, width, height = server.get_position().bounds
    server.set_position((left, bottom + 0.03, width, height - 0.03))
    panels.draw_server(server, episode)
    panels.draw_clocks(clock, episode)
    panels.draw_powers(power, episode)
    panels.draw_decision(
        batch, episode, episode.allocations.batch, LogNorm(1, np.max(episode.scenario.devices.batch_max))
    )
    label(batch, "Batch, samples", "device")
    first = episode.num_pretrain_rounds
    number_rounds([clock, power, batch], episode, first, last_shown(episode, first))
