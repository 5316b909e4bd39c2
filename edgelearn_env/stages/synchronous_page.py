"""What pages show of rounds that wait for all who take part: what came of them, and what their devices met."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgelearn_env.stages import panels
from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.stages.page_layout import LEFTS, NARROW, SMALL, WIDE, column, last_shown, number_rounds


def draw_results(figure: Figure, episode: PlayedEpisode) -> Axes:
    """First column: the bound, whose panel is returned, the budgets, and how long each round took."""
    bound, budgets, duration = axes = column(figure, LEFTS[0], WIDE, [1, 1, 1])
    panels.draw_bound(bound, episode)
    panels.draw_budgets(budgets, episode)
    panels.draw_durations(duration, episode, parts_of_durations(episode), "slowest device")
    number_rounds(axes, episode, 0, last_shown(episode, 0))
    if bound.get_legend_handles_labels()[0]:
        bound.legend(loc="upper right", fontsize=SMALL, framealpha=1.0)
    return bound


def parts_of_durations(episode: PlayedEpisode) -> dict[str, np.ndarray]:
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


def draw_conditions(figure: Figure, episode: PlayedEpisode) -> None:
    """Second column: channel, harvest and battery of every device."""
    channel, harvest, battery = axes = column(figure, LEFTS[1], NARROW, [1, 1, 1])
    panels.draw_channel(channel, episode)
    panels.draw_harvest(harvest, episode)
    panels.draw_battery(battery, episode)
    number_rounds(axes, episode, 0, last_shown(episode, 0))
