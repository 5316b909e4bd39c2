"""How an episode looks: as a figure, as an image, as text in a terminal, in a window.

Matplotlib and pygame load on first use; no global setting of either is touched.
"""

from typing import TYPE_CHECKING

import numpy as np

from edgelearn_env.stages.episode import PlayedEpisode
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

_ROUND_COLUMNS = 16


def episode_figure(trajectory: Trajectory, episode: int = 0, title: str | None = None) -> "matplotlib.figure.Figure":
    """One episode of a trajectory on a page: what came of it, what the devices met, what was decided.

    Args:
        trajectory: of any batch size, finished or not, even before its first round.
        episode: which one of the batch.
        title: first line of the page; the scenario by default.

    Returns:
        A figure of 1200 x 800 pixels that belongs to no global state; `figure.savefig(path)` writes it.
    """
    from edgelearn_env.two_stage.page import drawn

    return drawn(PlayedEpisode.of(trajectory, episode), title)


def rgb_array(trajectory: Trajectory, episode: int = 0) -> np.ndarray:
    """The page of `episode_figure` as an image, uint8 (800, 1200, 3) whatever the number of rounds."""
    from edgelearn_env.stages.page_layout import image_of

    return image_of(episode_figure(trajectory, episode))


def ansi(trajectory: Trajectory, episode: int = 0) -> str:
    """Where an episode stands, as plain text of at most 100 columns: budgets, bound, and one line a device.

    Of many devices only the slowest of the last round are listed, or the emptiest while there is no such round.
    """
    played = PlayedEpisode.of(trajectory, episode)
    last_round = [last_round_line(played, _participants(played))] if played.num_rounds else []
    return text_of([*state_lines(played), *last_round, "", *_device_lines(played)])


def _device_lines(played: PlayedEpisode) -> list[str]:
    """A table of the devices: battery now; conditions, decisions and times of the last round."""
    tuned, listed = bool(played.states.finetuning[-1]), listed_devices(played)
    # The columns of _device_line.
    names = ["device  battery      ", " gain  harvest", " |  freq   power  batch |   comp upload"]
    units = ["              J      ", "   dB       mW", " |   GHz      mW        |      s      s"]
    known = 1 + (played.num_rounds > 0) + tuned
    lines = ["".join(names[:known]), "".join(units[:known])]
    lines += [_device_line(played, device, tuned) for device in listed]
    return lines + others_lines(played, listed)


def _device_line(played: PlayedEpisode, device: int, tuned: bool) -> str:
    line = battery_cells(played, device)
    if played.num_rounds:
        line += f"{gain_cell(played, device)} {short(1e3 * played.conditions.harvest_w[-1, device]):>8}"
    if tuned:
        decided, devices = played.allocations, played.outcomes.devices
        freq, power = 1e-9 * decided.freq_hz[-1, device], 1e3 * decided.power_w[-1, device]
        if not devices.participates[-1, device]:
            return f"{line} | silent"
        line += f" | {short(freq):>5} {short(power):>7} {decided.batch[-1, device]:6.0f} | "
        line += f"{short(devices.compute_s[-1, device]):>6} {short(devices.upload_s[-1, device]):>6}"
        line += f"  {round_bar(played, device, _ROUND_COLUMNS)}"
    return line


def _participants(played: PlayedEpisode) -> str:
    """How many devices took part in the last round."""
    taking_part = int(np.sum(played.outcomes.devices.participates[-1]))
    return f"{taking_part} of {played.scenario.num_devices} devices"
