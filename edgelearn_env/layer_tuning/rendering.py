"""How an episode of layer tuning looks: as a figure, as an image, as text in a terminal, in a window.

Matplotlib and pygame load on first use; no global setting of either is touched.
"""

from typing import TYPE_CHECKING

import numpy as np

from edgelearn_env.layer_tuning.episode import LayerEpisode
from edgelearn_env.stages.text import (
    battery_cells,
    gain_cell,
    last_round_line,
    listed_devices,
    others_lines,
    round_bar,
    short,
    state_lines,
    text_of,
)
from edgelearn_env.trajectory import Trajectory

if TYPE_CHECKING:
    import matplotlib.figure

_ROUND_COLUMNS = 14


def episode_figure(trajectory: Trajectory, episode: int = 0, title: str | None = None) -> "matplotlib.figure.Figure":
    """One episode of a trajectory on a page: what came of it, what was met, what each device trained.

    Args:
        trajectory: of any batch size, finished or not, even before its first round.
        episode: which one of the batch.
        title: first line of the page; the scenario by default.

    Returns:
        A figure of 1200 x 800 pixels that belongs to no global state; `figure.savefig(path)` writes it.
    """
    from edgelearn_env.layer_tuning.page import drawn

    return drawn(LayerEpisode.of(trajectory, episode), title)


def rgb_array(trajectory: Trajectory, episode: int = 0) -> np.ndarray:
    """The page of `episode_figure` as an image, uint8 (800, 1200, 3) whatever the number of rounds."""
    from edgelearn_env.stages.page_layout import image_of

    return image_of(episode_figure(trajectory, episode))


def ansi(trajectory: Trajectory, episode: int = 0) -> str:
    """Where an episode stands, as plain text of at most 100 columns: budgets, bounds, and one line a device.

    Of many devices only the slowest of the last round are listed, or the emptiest while there is no such round.
    """
    played = LayerEpisode.of(trajectory, episode)
    net = f"net of {played.depth} blocks" if played.depth else "no net chosen"
    lines = [*state_lines(played), f"J = {played.loss[-1]:.4g}, {net}"]
    if played.num_rounds:
        lines.append(last_round_line(played, _participants(played)))
    return text_of([*lines, "", *_device_lines(played)])


def _participants(played: LayerEpisode) -> str:
    """How many devices took part in the last round, and how many blocks they trained together."""
    blocks = played.outcomes.layers.blocks[-1]
    return f"{int(np.sum(blocks > 0))} of {played.scenario.num_devices} devices, {int(np.sum(blocks))} blocks"


def _device_lines(played: LayerEpisode) -> list[str]:
    """A table of the devices: battery now; conditions, decisions and times of the last round."""
    tuned, listed = bool(played.states.finetuning[-1]), listed_devices(played)
    # The columns of _device_line.
    names = ["device  battery      ", " gain", " |  freq   power  batch blocks memory |   comp upload"]
    units = ["              J      ", "   dB", " |   GHz      mW                   MB |      s      s"]
    known = 1 + (played.num_rounds > 0) + tuned
    lines = ["".join(names[:known]), "".join(units[:known])]
    lines += [_device_line(played, device, tuned) for device in listed]
    return lines + others_lines(played, listed)


def _device_line(played: LayerEpisode, device: int, tuned: bool) -> str:
    line = battery_cells(played, device)
    if played.num_rounds:
        line += gain_cell(played, device)
    if not tuned:
        return line
    decided, devices, layers = played.allocations, played.outcomes.devices, played.outcomes.layers
    lowered = "v" if layers.lowered[-1, device] else " "
    if not devices.participates[-1, device]:
        return f"{line} | {'no memory' if lowered == 'v' else 'silent'}"
    freq, power = 1e-9 * decided.freq_hz[-1, device], 1e3 * decided.power_w[-1, device]
    line += f" | {short(freq):>5} {short(power):>7} {decided.batch[-1, device]:6.0f}"
    line += f" {layers.blocks[-1, device]:5d}{lowered} {short(1e-6 * layers.memory_byte[-1, device]):>6} | "
    line += f"{short(devices.compute_s[-1, device]):>6} {short(devices.upload_s[-1, device]):>6}"
    return f"{line} {round_bar(played, device, _ROUND_COLUMNS)}"
