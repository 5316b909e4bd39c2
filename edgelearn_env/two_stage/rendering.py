"""How an episode looks: as a figure, as an image, as text in a terminal, in a window.

Matplotlib and pygame load on first use; no global setting of either is touched.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.trajectory import Trajectory

if TYPE_CHECKING:
    import matplotlib.figure

TEXT_COLUMNS = 100
_BAR_COLUMNS, _BATTERY_COLUMNS, _ROUND_COLUMNS = 56, 6, 16
_MOST_DEVICES_LISTED = 16


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
    canvas: Any = episode_figure(trajectory, episode).canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def ansi(trajectory: Trajectory, episode: int = 0) -> str:
    """Where an episode stands, as plain text of at most 100 columns: budgets, bound, and one line a device.

    Of many devices only the slowest of the last round are listed, or the emptiest while there is no such round.
    """
    played = PlayedEpisode.of(trajectory, episode)
    lines = [*_state_lines(played), "", *_device_lines(played)]
    return "\n".join(line[:TEXT_COLUMNS].rstrip() for line in lines) + "\n"


def _state_lines(played: PlayedEpisode) -> list[str]:
    """Stage, rounds, bound, budgets, and what the last round cost."""
    limits, states, psi = played.scenario.budgets, played.states, played.objective
    elapsed_s, spent_j = float(states.elapsed_s[-1]), float(states.spent_j[-1])
    stage = "fine-tuning" if states.finetuning[-1] else "pre-training"
    where = f"{stage}, round {played.num_rounds} of at most {limits.max_rounds}"
    counts = f"M = {played.num_pretrain_rounds}   N = {played.num_finetune_rounds}"
    return [
        f"{played.heading}, {where}",
        f"Φ = {psi[-1]:.4g}   {counts}   {played.how_it_ended}",
        f"bound   {_sparkline(np.log(psi), _BAR_COLUMNS)}  {psi[0]:.4g} to {psi[-1]:.4g}",
        f"delay   {_bar(elapsed_s / limits.delay_s, _BAR_COLUMNS)}  {elapsed_s:.2f} of {limits.delay_s:g} s",
        f"energy  {_bar(spent_j / limits.energy_j, _BAR_COLUMNS)}  {spent_j:.2f} of {limits.energy_j:g} J",
        *_last_round_lines(played),
    ]


def _last_round_lines(played: PlayedEpisode) -> list[str]:
    if not played.num_rounds:
        return []
    outcomes, decided = played.outcomes, played.allocations
    cost = f"last round: {_short(outcomes.duration_s[-1])} s, {_short(outcomes.energy_j[-1])} J"
    if played.states.finetuning[-1]:
        return [f"{cost}, {_participants(played)}; ▒ compute █ upload"]
    freq_ghz, batch = 1e-9 * decided.server_freq_hz[-1], decided.server_batch[-1]
    return [f"{cost}; server at {_short(freq_ghz)} GHz, batch {batch:.0f}"]


def _device_lines(played: PlayedEpisode) -> list[str]:
    """A table of the devices: battery now; conditions, decisions and times of the last round."""
    num_devices, battery_j = played.scenario.num_devices, played.states.battery_j[-1]
    tuned = bool(played.states.finetuning[-1])
    order = np.argsort(-played.device_finish_s[-1] if tuned else battery_j, kind="stable")
    listed, others = np.sort(order[:_MOST_DEVICES_LISTED]).tolist(), order[_MOST_DEVICES_LISTED:]
    # The columns of _device_line.
    names = ["device  battery      ", " gain  harvest", " |  freq   power  batch |   comp upload"]
    units = ["              J      ", "   dB       mW", " |   GHz      mW        |      s      s"]
    known = 1 + (played.num_rounds > 0) + tuned
    lines = ["".join(names[:known]), "".join(units[:known])]
    lines += [_device_line(played, device, tuned) for device in listed]
    if len(others):
        held = f"{_short(np.min(battery_j[others]))} to {_short(np.max(battery_j[others]))} J"
        which = "slowest" if tuned else "emptiest"
        lines.append(f"the {len(listed)} {which} of {num_devices} devices; the batteries of the others hold {held}")
    return lines


def _device_line(played: PlayedEpisode, device: int, tuned: bool) -> str:
    charge_j, capacity_j = (
        played.states.battery_j[-1, device],
        np.asarray(played.scenario.energy.battery_capacity_j)[device],
    )
    line = f"{device:6d}  {_bar(charge_j / capacity_j, _BATTERY_COLUMNS)} {_short(charge_j):>5}"
    if played.num_rounds:
        gain, harvest_w = played.conditions.channel_gain[-1, device], played.conditions.harvest_w[-1, device]
        gain_db = 10 * np.log10(gain) if gain > 0 else -np.inf
        line += f" {gain_db:6.1f} {_short(1e3 * harvest_w):>8}"
    if tuned:
        decided, devices = played.allocations, played.outcomes.devices
        freq, power = 1e-9 * decided.freq_hz[-1, device], 1e3 * decided.power_w[-1, device]
        if not devices.participates[-1, device]:
            return f"{line} | silent"
        times_s = [devices.compute_s[-1, device], devices.upload_s[-1, device]]
        line += f" | {_short(freq):>5} {_short(power):>7} {decided.batch[-1, device]:6.0f} | "
        line += " ".join(f"{_short(time_s):>6}" for time_s in times_s)
        ends = np.cumsum(times_s) / played.outcomes.duration_s[-1] * _ROUND_COLUMNS
        widths = np.diff(np.round(ends).astype(int), prepend=0)
        line += "  " + "".join(mark * width for mark, width in zip("▒█", widths, strict=True))
    return line


def _participants(played: PlayedEpisode) -> str:
    """How many devices took part in the last round."""
    taking_part = int(np.sum(played.outcomes.devices.participates[-1]))
    return f"{taking_part} of {played.scenario.num_devices} devices"


def _bar(share: float, columns: int) -> str:
    """`share` of 1 as a bar, to an eighth of a column."""
    eighths = int(np.clip(share, 0.0, 1.0) * 8 * columns)
    full, rest = divmod(eighths, 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[rest] * (rest > 0)).ljust(columns, "·")


def _sparkline(values: np.ndarray, columns: int) -> str:
    """`values` as at most `columns` columns of different heights, the first and the last value among them."""
    picked = values[np.linspace(0, len(values) - 1, min(columns, len(values))).round().astype(int)]
    low, span = np.min(values), max(np.ptp(values), 1e-12)
    return "".join("▁▂▃▄▅▆▇█"[int(7.999 * (value - low) / span)] for value in picked).ljust(columns)


def _short(value: float) -> str:
    """Three significant digits in at most seven characters."""
    if value == 0 or not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}" if value else "0"
    return f"{value:.{int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 3))}f}"
