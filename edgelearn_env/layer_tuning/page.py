"""One episode of layer tuning on a page: what came of it, what the devices met, what each of them trained."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure

from edgelearn_env.layer_tuning.episode import LayerEpisode
from edgelearn_env.stages import panels
from edgelearn_env.stages.page_layout import (
    LEFTS,
    NARROW,
    column,
    headed_page,
    heat_map,
    label,
    last_shown,
    number_rounds,
)
from edgelearn_env.stages.synchronous_page import draw_conditions, draw_results


def drawn(episode: LayerEpisode, title: str | None = None) -> Figure:
    """The page of an episode, 1200 x 800 pixels; `title` replaces its first line."""
    figure = headed_page(episode, title)
    bound = draw_results(figure, episode)
    label(bound, f"Bound on the squared gradient norm; J = {episode.loss[-1]:.4g}", "Φ so far (dimensionless)")
    draw_conditions(figure, episode)
    _draw_decisions(figure, episode)
    return figure


def _draw_decisions(figure: Figure, episode: LayerEpisode) -> None:
    """Third column: the server's decisions while pre-training, then what devices trained and how."""
    server, blocks, clock, power, batch = column(figure, LEFTS[2], NARROW, [1, 1, 1, 1, 1])
    left, bottom, width, height = server.get_position().bounds
    server.set_position((left, bottom + 0.03, width, height - 0.03))
    panels.draw_server(server, episode)
    _draw_blocks(blocks, episode)
    panels.draw_clocks(clock, episode)
    label(clock, "Clock, GHz", "device")
    panels.draw_powers(power, episode)
    most = np.max(episode.scenario.devices.batch_max)
    panels.draw_decision(batch, episode, episode.allocations.batch, LogNorm(1, max(most, 2)))
    label(batch, "Batch, samples", "device")
    first = episode.num_pretrain_rounds
    number_rounds([blocks, clock, power, batch], episode, first, last_shown(episode, first))


def _draw_blocks(axes: Axes, episode: LayerEpisode) -> None:
    """How many last blocks each device trained in each fine-tuning round, blank where it was silent."""
    first, most = episode.num_pretrain_rounds, episode.scenario.networks.most_blocks
    blocks = episode.outcomes.layers.blocks[first:]
    shown = np.where(blocks > 0, blocks, np.nan)
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 1, most)))
    scale = heat_map(axes, shown, first, BoundaryNorm(np.arange(most + 1) + 0.5, most), colours)
    scale.set_ticks(sorted({1, most}))
    label(axes, f"Blocks trained, of {episode.depth or '?'} (blank: silent)", "device")
