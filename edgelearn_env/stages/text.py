"""Where an episode stands, in lines of plain text: what the texts of all systems have."""

import numpy as np

from edgelearn_env.stages.episode import PlayedEpisode

TEXT_COLUMNS = 100
_BAR_COLUMNS, _BATTERY_COLUMNS = 56, 6
_MOST_DEVICES_LISTED = 16


def text_of(lines: list[str]) -> str:
    """The lines as one text of at most 100 columns."""
    return "\n".join(line[:TEXT_COLUMNS].rstrip() for line in lines) + "\n"


def state_lines(played: PlayedEpisode) -> list[str]:
    """Stage, rounds, bound, budgets."""
    limits, states, psi = played.scenario.budgets, played.states, played.objective
    elapsed_s, spent_j = float(states.elapsed_s[-1]), float(states.spent_j[-1])
    stage = "fine-tuning" if states.finetuning[-1] else "pre-training"
    where = f"{stage}, round {played.num_rounds} of at most {limits.max_rounds}"
    counts = f"M = {played.num_pretrain_rounds}   N = {played.num_finetune_rounds}"
    return [
        f"{played.heading}, {where}",
        f"Φ = {psi[-1]:.4g}   {counts}   {played.how_it_ended}",
        f"bound   {_sparkline(np.log(psi), _BAR_COLUMNS)}  {psi[0]:.4g} to {psi[-1]:.4g}",
        f"delay   {bar(elapsed_s / limits.delay_s, _BAR_COLUMNS)}  {elapsed_s:.2f} of {limits.delay_s:g} s",
        f"energy  {bar(spent_j / limits.energy_j, _BAR_COLUMNS)}  {spent_j:.2f} of {limits.energy_j:g} J",
    ]


def last_round_line(played: PlayedEpisode, of_devices: str) -> str:
    """What the last round cost, and who worked on it: the server, or what `of_devices` says."""
    outcomes, decided = played.outcomes, played.allocations
    cost = f"last round: {short(outcomes.duration_s[-1])} s, {short(outcomes.energy_j[-1])} J"
    if played.states.finetuning[-1]:
        return f"{cost}, {of_devices}; ▒ compute █ upload"
    freq_ghz, batch = 1e-9 * decided.server_freq_hz[-1], decided.server_batch[-1]
    return f"{cost}; server at {short(freq_ghz)} GHz, batch {batch:.0f}"


def listed_devices(played: PlayedEpisode) -> list[int]:
    """Those that there is room for: of many the slowest of the last round, or the emptiest without such a round."""
    battery_j = played.states.battery_j[-1]
    order = np.argsort(-played.device_finish_s[-1] if played.states.finetuning[-1] else battery_j, kind="stable")
    listed: list[int] = np.sort(order[:_MOST_DEVICES_LISTED]).tolist()
    return listed


def others_lines(played: PlayedEpisode, listed: list[int]) -> list[str]:
    """What there is to say of the devices that are not listed, if there are any."""
    num_devices = played.scenario.num_devices
    others = np.setdiff1d(np.arange(num_devices), listed)
    if not len(others):
        return []
    battery_j = played.states.battery_j[-1][others]
    held = f"{short(np.min(battery_j))} to {short(np.max(battery_j))} J"
    which = "slowest" if played.states.finetuning[-1] else "emptiest"
    return [f"the {len(listed)} {which} of {num_devices} devices; the batteries of the others hold {held}"]


def battery_cells(played: PlayedEpisode, device: int) -> str:
    """Number and battery of a device, in 20 columns."""
    charge_j = played.states.battery_j[-1, device]
    capacity_j = np.asarray(played.scenario.energy.battery_capacity_j)[device]
    return f"{device:6d}  {bar(charge_j / capacity_j, _BATTERY_COLUMNS)} {short(charge_j):>5}"


def gain_cell(played: PlayedEpisode, device: int) -> str:
    """Its channel gain in the last round, dB, in 7 columns."""
    gain = played.conditions.channel_gain[-1, device]
    return f" {10 * np.log10(gain) if gain > 0 else -np.inf:6.1f}"


def round_bar(played: PlayedEpisode, device: int, columns: int) -> str:
    """How much of the last round it computed and uploaded, the whole round being that many columns."""
    devices = played.outcomes.devices
    times_s = [devices.compute_s[-1, device], devices.upload_s[-1, device]]
    ends = np.cumsum(times_s) / played.outcomes.duration_s[-1] * columns
    widths = np.diff(np.round(ends).astype(int), prepend=0)
    return "".join(mark * width for mark, width in zip("▒█", widths, strict=True))


def bar(share: float, columns: int) -> str:
    """`share` of 1 as a bar, to an eighth of a column."""
    eighths = int(np.clip(share, 0.0, 1.0) * 8 * columns)
    full, rest = divmod(eighths, 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[rest] * (rest > 0)).ljust(columns, "·")


def _sparkline(values: np.ndarray, columns: int) -> str:
    """`values` as at most `columns` columns of different heights, the first and the last value among them."""
    picked = values[np.linspace(0, len(values) - 1, min(columns, len(values))).round().astype(int)]
    low, span = np.min(values), max(np.ptp(values), 1e-12)
    return "".join("▁▂▃▄▅▆▇█"[int(7.999 * (value - low) / span)] for value in picked).ljust(columns)


def short(value: float) -> str:
    """Three significant digits in at most seven characters."""
    if value == 0 or not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}" if value else "0"
    return f"{value:.{int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 3))}f}"
