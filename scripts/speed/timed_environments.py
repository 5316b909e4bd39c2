"""How many steps a second environments do: ours in each of their forms, beside those of others."""

import importlib.util
import statistics

import gymnasium
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.errors import MissingExtraError
from edgelearn_env.model import model_of
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scenarios.systems import SYSTEMS
from edgelearn_env.scripts.speed.memory_traffic import copied_bytes_per_s, least_step_bytes
from edgelearn_env.scripts.speed.random_play import Play, play_sb3, play_single, play_tensors, play_vector
from edgelearn_env.scripts.speed.timing import percent, seconds_of


def timed_environments(scenario: Scenario, progress: Progress, *, seconds: float = 0.5, repeats: int = 7) -> Table:
    """Steps a second of random play, autoreset included: median and range of several turns.

    Args:
        scenario: of our environments.
        progress: where to show how far it is.
        seconds: how long a turn takes at least: long enough to tell, short enough to repeat.
        repeats: turns of each form; all forms take turns, so that a busy moment hits all alike.
    """
    on_host, on_gpu, others = _on_host(scenario), _on_gpu(scenario), _siblings(scenario) | _others()
    plays = {"single": play_single(gymnasium.make(scenario.environment, scenario=scenario))} | on_host | on_gpu | others
    rates: dict[str, list[float]] = {label: [] for label in plays}
    for play in plays.values():
        play()
    for _ in progress.track(range(repeats), description="stepping"):
        for label, play in plays.items():
            rates[label].append(_rate(play, seconds))
    copied = {device: copied_bytes_per_s(device) for device, forms in (("cpu", on_host), ("cuda", on_gpu)) if forms}
    device_of = dict.fromkeys(on_host, "cpu") | dict.fromkeys(on_gpu, "cuda")
    moved = least_step_bytes(scenario)
    reference = statistics.median(next(iter(rates.values())))
    table = table_of("environment, random play", "steps/s", "range", "to the first", "of copying")
    copies = ", ".join(f"{rate / 1e9:.3g} GB/s on {device}" for device, rate in copied.items())
    table.caption = f"of copying: {moved} bytes a step, the very least, over what a large copy moves: {copies}"
    for label, each in rates.items():
        median = statistics.median(each)
        share = percent(median * moved / copied[device_of[label]]) if label in device_of else ""
        spread = f"{min(each):,.0f} to {max(each):,.0f}"
        table.add_row(label, f"{median:,.0f}", spread, f"{median / reference:.3g}", share)
    return table


def _rate(play: Play, seconds: float) -> float:
    """Environment steps a second of `play`."""
    steps, elapsed_s = 0, 0.0
    while elapsed_s < seconds:
        took_s, done = seconds_of(play)
        steps, elapsed_s = steps + done, elapsed_s + took_s
    return steps / elapsed_s


def _on_host(scenario: Scenario) -> dict[str, Play]:
    """Many of our environments at once, on the CPU."""
    forms = {}
    for num_envs in (1024, 4096):
        for kernel in _kernels(scenario):
            for mode in ("NextStep", "SameStep"):
                envs = gymnasium.make_vec(
                    scenario.environment,
                    num_envs,
                    "vector_entry_point",
                    scenario=scenario,
                    autoreset_mode=mode,
                    kernel=kernel,
                )
                forms[f"vector, {num_envs}, {mode}, {kernel}"] = play_vector(envs)
    if importlib.util.find_spec("stable_baselines3"):
        forms["SB3 adapter, 1024"] = play_sb3(scenario, 1024)
    if importlib.util.find_spec("torch"):
        forms["tensors, 4096, CPU"] = play_tensors(scenario, 4096, "cpu")
    return forms


def _kernels(scenario: Scenario) -> tuple[str, ...]:
    """What a round can be computed by here, in that system."""
    try:
        model_of(scenario, "compiled")
    except MissingExtraError:
        return ("numpy",)
    return ("compiled", "numpy")


def _on_gpu(scenario: Scenario) -> dict[str, Play]:
    """Many of our environments at once, on a GPU if there is one."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    sizes = (65_536, 262_144) if torch.cuda.is_available() else ()
    return {f"tensors, {size}, CUDA": play_tensors(scenario, size, "cuda") for size in sizes}


def _siblings(scenario: Scenario) -> dict[str, Play]:
    """Our environments of other systems, each on its default scenario."""
    ids = [system.environment for system in SYSTEMS.values() if system.environment != scenario.environment]
    single = {f"{name}, single": play_single(gymnasium.make(name)) for name in ids}
    return single | {f"{name}, 4096": play_vector(gymnasium.make_vec(name, 4096, "vector_entry_point")) for name in ids}


def _others() -> dict[str, Play]:
    """Environments of others, those of the field as far as they are installed."""
    forms = {
        "CartPole, single": play_single(gymnasium.make("CartPole-v1")),
        "CartPole, SyncVectorEnv, 64": play_vector(gymnasium.make_vec("CartPole-v1", 64, "sync")),
        "CartPole, native vector, 4096": play_vector(gymnasium.make_vec("CartPole-v1", 4096, "vector_entry_point")),
    }
    if importlib.util.find_spec("mobile_env"):
        for size in ("small", "medium", "large"):
            forms[f"mobile-env, {size}, single"] = play_single(gymnasium.make(f"mobile_env:mobile-{size}-central-v0"))
    return forms
