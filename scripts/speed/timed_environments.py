"""How many steps a second environments do: ours in each of their forms, beside those of others."""

import importlib.util
import statistics
from collections.abc import Iterable
from typing import NamedTuple

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
    siblings = _siblings(scenario)
    on_host, others = _on_host(scenario), _of_siblings(siblings) | _others()
    on_gpu = _on_gpu(scenario, "")
    for name, sibling in siblings.items():
        on_gpu |= _on_gpu(sibling, f"{name}, ")
    plays = {"single": play_single(gymnasium.make(scenario.environment, scenario=scenario))} | on_host
    plays |= {label: form.play for label, form in on_gpu.items()} | others
    rates: dict[str, list[float]] = {label: [] for label in plays}
    # What is compiled is compiled now.
    for play in progress.track(plays.values(), description="first steps"):
        play()
    for _ in progress.track(range(repeats), description="stepping"):
        for label, play in plays.items():
            rates[label].append(_rate(play, seconds))
    copied = {device: copied_bytes_per_s(device) for device, forms in (("cpu", on_host), ("cuda", on_gpu)) if forms}
    # What copying would allow, in steps a second.
    most = dict.fromkeys(on_host, copied["cpu"] / least_step_bytes(scenario))
    most |= {label: copied["cuda"] / form.step_bytes for label, form in on_gpu.items()}
    reference = statistics.median(next(iter(rates.values())))
    table = table_of("environment, random play", "steps/s", "range", "to the first", "of copying")
    copies = ", ".join(f"{rate / 1e9:.3g} GB/s on {device}" for device, rate in copied.items())
    moved = f"{least_step_bytes(scenario)} bytes ({scenario.system})"
    table.caption = f"of copying: what a step moves at the very least, {moved}, over what a large copy moves: {copies}"
    for label, each in rates.items():
        median = statistics.median(each)
        share = percent(median / most[label]) if label in most else ""
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


class _OnGpu(NamedTuple):
    """A form on a GPU, and how many bytes a step of it moves at least."""

    play: Play
    step_bytes: int


def _on_gpu(scenario: Scenario, prefix: str) -> dict[str, _OnGpu]:
    """Many environments of a scenario at once, on a GPU if there is one; labels begin with a prefix."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    sizes = (65_536, 262_144) if torch.cuda.is_available() else ()
    forms = [(size, compiled) for size in sizes for compiled in (False, True)]
    return {
        f"{prefix}tensors, {size}, CUDA{', compiled' if compiled else ''}": _OnGpu(
            play_tensors(scenario, size, "cuda", compiled=compiled), least_step_bytes(scenario)
        )
        for size, compiled in forms
    }


def _siblings(scenario: Scenario) -> dict[str, Scenario]:
    """Of other systems, the one that their environment plays by default, by its id."""
    ids = [system.environment for system in SYSTEMS.values() if system.environment != scenario.environment]
    return {name: gymnasium.make(name).get_wrapper_attr("scenario") for name in ids}


def _of_siblings(ids: Iterable[str]) -> dict[str, Play]:
    """Our environments of other systems, each on its default scenario."""
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
