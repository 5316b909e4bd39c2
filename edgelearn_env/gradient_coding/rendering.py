"""How an episode with coded rounds looks: as a figure, as an image, as text in a terminal, in a window.

Matplotlib and pygame load on first use; no global setting of either is touched.
"""

from typing import TYPE_CHECKING

import numpy as np

from edgelearn_env.gradient_coding.episode import LATE, NOT_NEEDED, ROLES, WAITED_FOR, CodedEpisode
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
_MARKS = {WAITED_FOR: "✓", NOT_NEEDED: "+", LATE: "✗"}


def episode_figure(trajectory: Trajectory, episode: int = 0, title: str | None = None) -> "matplotlib.figure.Figure":
    """One episode of a trajectory on a page: what came of it, who worked, what was met and decided.

    Args:
        trajectory: of any batch size, finished or not, even before its first round.
        episode: which one of the batch.
        title: first line of the page; the scenario by default.

    Returns:
        A figure of 1200 x 800 pixels that belongs to no global state; `figure.savefig(path)` writes it.
    """
    from edgelearn_env.gradient_coding.page import drawn

    return drawn(CodedEpisode.of(trajectory, episode), title)


def rgb_array(trajectory: Trajectory, episode: int = 0) -> np.ndarray:
    """The page of `episode_figure` as an image, uint8 (800, 1200, 3) whatever the number of rounds."""
    from edgelearn_env.stages.page_layout import image_of

    return image_of(episode_figure(trajectory, episode))


def ansi(trajectory: Trajectory, episode: int = 0) -> str:
    """Where an episode stands, as plain text of at most 100 columns: budgets, bound, and one line a device.

    Devices stand under their edge node. Of many only the slowest of the last round are listed, or the emptiest while
    there is no such round.
    """
    played = CodedEpisode.of(trajectory, episode)
    last_round = [last_round_line(played, _round_in_words(played))] if played.num_rounds else []
    return text_of([*state_lines(played), *last_round, "", *_device_lines(played)])


def _round_in_words(played: CodedEpisode) -> str:
    """The code of the last round and how many devices it waited for."""
    decided, roles = played.allocations, played.roles[-1]
    code = f"code ({decided.edge_stragglers[-1]}, {decided.device_stragglers[-1]})" if played.coded[-1] else "no code"
    lost = "" if played.outcomes.coded.decoded[-1] else ", lost"
    waited, late = int(np.sum(roles == WAITED_FOR)), int(np.sum(roles == LATE))
    return f"{code}{lost}, waited for {waited} of {len(roles)}, {late} late"


def _device_lines(played: CodedEpisode) -> list[str]:
    """A table of the devices under their edge nodes: battery now; conditions, decisions and times of the last round."""
    tuned, listed = bool(played.states.finetuning[-1]), listed_devices(played)
    # The columns of _device_line.
    names = ["device  battery      ", " gain", " |  freq   power  batch   load |  slow tries   comp upload"]
    units = ["              J      ", "   dB", " |   GHz      mW               |                  s      s"]
    known = 1 + (played.num_rounds > 0) + tuned
    lines = ["".join(names[:known]), "".join(units[:known])]
    per_edge = played.scenario.devices_per_edge
    for edge in range(played.scenario.coding.num_edges):
        under_it = [device for device in listed if device // per_edge == edge]
        if under_it:
            lines.append(_edge_line(played, edge, tuned))
            lines += [_device_line(played, device, tuned) for device in under_it]
    return lines + others_lines(played, listed)


def _edge_line(played: CodedEpisode, edge: int, tuned: bool) -> str:
    """An edge node, and when it had sent its result in the last round."""
    if not tuned:
        return f"edge {edge}"
    sent_s, decoded = played.outcomes.coded.edge_s[-1, edge], played.outcomes.coded.decoded[-1]
    if sent_s:
        return f"edge {edge}: had sent its result after {short(sent_s)} s"
    return f"edge {edge}: " + ("not waited for" if played.coded[-1] and decoded else "too few results")


def _device_line(played: CodedEpisode, device: int, tuned: bool) -> str:
    line = battery_cells(played, device)
    if played.num_rounds:
        line += gain_cell(played, device)
    if not tuned:
        return line
    decided, devices, role = played.allocations, played.outcomes.devices, played.roles[-1, device]
    if not devices.participates[-1, device]:
        return f"{line} | {ROLES[role]}"
    freq, power = 1e-9 * decided.freq_hz[-1, device], 1e3 * decided.power_w[-1, device]
    line += f" | {short(freq):>5} {short(power):>7} {played.batch[-1, device]:6.0f}"
    line += f" {played.outcomes.coded.load[-1, device]:6.0f} | "
    seen = played.states.seen
    line += f"{short(seen.slowdown[-1, device]):>5} {seen.tries[-1, device]:5.0f} "
    line += f"{short(devices.compute_s[-1, device]):>6} {short(devices.upload_s[-1, device]):>6}"
    return f"{line} {_MARKS[role]}{round_bar(played, device, _ROUND_COLUMNS)}"
