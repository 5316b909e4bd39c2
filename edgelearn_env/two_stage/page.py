"""One episode on a page: what came of it, what the devices met, what was decided."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from edgelearn_env.stages import panels
from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.stages.page_layout import (
    LEFTS,
    NARROW,
    column,
    headed_page,
    label,
    last_shown,
    number_rounds,
)
from edgelearn_env.stages.synchronous_page import draw_conditions, draw_results


def drawn(episode: PlayedEpisode, title: str | None = None) -> Figure:
    """The page of an episode, 1200 x 800 pixels; `title` replaces its first line."""
    figure = headed_page(episode, title)
    draw_results(figure, episode)
    draw_conditions(figure, episode)
    _draw_decisions(figure, episode)
    return figure


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
