"""Random small systems, tapes and policies that are valid by construction: raw material of the property tests.

A system is drawn so that what stops an episode varies: the delay budget, the energy budget, or the last round, and
who is silent. Everything follows from the generator that is handed in.
"""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape, sample_tape

OBJECTIVES = ("finetune", "two-stage")
BATTERY_KINDS = ("ample", "binding", "starved", "mixed")

seeds = st.integers(0, 2**32 - 1)


def random_scenario(
    rng: np.random.Generator,
    *,
    num_devices: int | None = None,
    max_rounds: int | None = None,
    objective: str | None = None,
    batteries: str | None = None,
) -> Scenario:
    """A valid system of 1 to 4 devices and 6 to 20 rounds.

    Args:
        rng: decides everything that is not given.
        num_devices: K.
        max_rounds: length of the tape.
        objective: one of `OBJECTIVES`.
        batteries: `ample` hardly ever bind, `binding` hold a few rounds' energy, `starved` harvest nothing, `mixed`
            has one of these for each device.
    """
    K = int(rng.integers(1, 5)) if num_devices is None else num_devices
    T = int(rng.integers(6, 21)) if max_rounds is None else max_rounds
    table = {
        "name": "random",
        "server": _server(rng),
        "devices": _devices(rng, K),
        "radio": _radio(rng, K),
        "learning": _learning(rng, K, objective or str(rng.choice(OBJECTIVES))),
    }
    typical = _typical_rounds(table)
    table["energy"] = _energy(rng, typical, T, batteries or str(rng.choice(BATTERY_KINDS, p=[0.15, 0.5, 0.15, 0.2])))
    table["budgets"] = _budgets(rng, typical, T)
    return Scenario.from_dict(table)


def random_tape(rng: np.random.Generator, scenario: Scenario) -> Tape:
    """A tape of the scenario's own law, or (two times of three) one whose harvest never pauses, as a trace may have it.

    With an on/off harvest a short battery stays short for long; with a steady one devices are silent now and then.
    """
    tape = sample_tape(scenario, int(rng.integers(2**31)))
    if rng.random() < 1 / 3:
        return tape
    steady_w = scenario.energy.harvest_mean_w * rng.uniform(0.3, 1.7, tape.harvest_w.shape)
    return Tape(tape.channel_gain, steady_w)


def random_allocation(
    rng: np.random.Generator,
    scenario: Scenario,
    batch_size: int,
    switch: float | np.ndarray = 0.5,
    ceiling: float = 1.0,
    silent: float = 0.1,
) -> Allocation:
    """Any allocation within the limits, log-uniform, with every tenth entry at one of its ends; whole batch sizes.

    Args:
        rng: decides.
        scenario: gives the limits.
        batch_size: B.
        switch: chance of switching, one number or one an episode.
        ceiling: share of every (logarithmic) range, from its lower end, that is used.
        silent: chance of a device to get no batch.
    """
    server, devices, shape = scenario.server, scenario.devices, (batch_size, scenario.num_devices)
    return Allocation(
        switch=rng.random(batch_size) < switch,
        server_freq_hz=_between(rng, server.freq_min_hz, server.freq_max_hz, (batch_size,), ceiling),
        server_batch=np.round(_between(rng, 1.0, server.batch_max, (batch_size,), ceiling)),
        freq_hz=_between(rng, devices.freq_min_hz, devices.freq_max_hz, shape, ceiling),
        power_w=_between(rng, devices.power_min_w, devices.power_max_w, shape, ceiling),
        batch=np.where(
            rng.random(shape) < silent, 0.0, np.round(_between(rng, 1.0, devices.batch_max, shape, ceiling))
        ),
    )


def random_policy(
    rng: np.random.Generator, scenario: Scenario, switch: float | None = None, ceiling: float | None = None
) -> Callable[[Observed], Allocation]:
    """A policy that decides at random in every round, whatever it observes.

    Args:
        rng: decides; the policy keeps drawing from it.
        scenario: gives the limits.
        switch: chance of switching in a round; drawn if not given, so that some policies never do and some do at once.
        ceiling: as in `random_allocation`; drawn if not given, so that some policies are thrifty and some lavish.
    """
    chance = float(rng.choice([0.0, 0.15, 0.4, 1.0])) if switch is None else switch
    highest = float(rng.choice([0.2, 0.5, 1.0])) if ceiling is None else ceiling

    def decide(observed: Observed) -> Allocation:
        return random_allocation(rng, scenario, len(observed.state.elapsed_s), chance, highest)

    return decide


# Of every field that a system may lack or share, some draws do: equal limits, no noise of a kind, weight zero.


def _log_uniform(rng, low, high, size=None):
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def _between(rng, low, high, shape, ceiling):
    share = rng.random(shape)
    share = ceiling * np.where(rng.random(shape) < 0.1, np.round(share), share)
    return np.clip(low * (high / np.asarray(low)) ** share, low, high)


def _one_or_each(rng, num_devices, draw):
    """The same value for all devices (given once), or one for each."""
    return float(draw(None)) if rng.random() < 0.3 else draw(num_devices).tolist()


def _server(rng):
    freq_max_hz = rng.uniform(1e9, 4e9)
    return {
        "flops_per_cycle": rng.uniform(8, 40),
        "freq_min_hz": freq_max_hz * float(rng.choice([0.1, 0.3, 1.0], p=[0.5, 0.4, 0.1])),
        "freq_max_hz": freq_max_hz,
        "capacitance_j_s2": _log_uniform(rng, 5e-27, 5e-26),
        "overhead_factor": float(rng.choice([1.0, 1.2, 1.5])),
        "batch_max": int(rng.choice([1, 16, 100, 512], p=[0.1, 0.3, 0.3, 0.3])),
    }


def _devices(rng, K):
    freq_max_hz = rng.uniform(0.5e9, 1.5e9, K)
    power_max_w = rng.uniform(0.05, 0.3, K)
    return {
        "num_devices": K,
        "flops_per_cycle": _one_or_each(rng, K, lambda size: rng.uniform(2, 8, size)),
        "freq_min_hz": (freq_max_hz * rng.choice([0.1, 0.3, 1.0], K, p=[0.5, 0.4, 0.1])).tolist(),
        "freq_max_hz": freq_max_hz.tolist(),
        "capacitance_j_s2": _one_or_each(rng, K, lambda size: _log_uniform(rng, 5e-28, 2e-27, size)),
        "batch_max": rng.choice([1, 8, 30, 128], K, p=[0.1, 0.3, 0.3, 0.3]).tolist(),
        "power_min_w": (power_max_w * _log_uniform(rng, 1e-3, 1e-1, K)).tolist(),
        "power_max_w": power_max_w.tolist(),
        "distance_m": rng.uniform(50, 250, K).tolist(),
    }


def _radio(rng, K):
    return {
        "bandwidth_hz": _one_or_each(rng, K, lambda size: rng.uniform(0.5e6, 2e6, size)),
        "noise_w_per_hz": 1.2589254117941673e-20,
        "gain_at_1m": 1e-3,
        "path_loss_exponent": float(rng.choice([2.5, 3.0])),
        "shadowing_std_db": float(rng.choice([0.0, 4.0])),
        "fading_correlation": float(rng.choice([0.0, 0.7, 0.95, 1.0])),
        "downlink_s": _log_uniform(rng, 5e-3, 5e-2),
        "downlink_j": float(rng.choice([0.0, 0.01])),
        "idle_s": _log_uniform(rng, 0.02, 2.0),
    }


def _learning(rng, K, objective):
    smoothness = _log_uniform(rng, 1.0, 30.0)
    weight = rng.uniform(0.2, 1.0, K)
    if K > 1 and rng.random() < 0.1:
        weight[0] = 0.0
    return {
        "objective": objective,
        "flops_per_sample": _log_uniform(rng, 1e7, 1e8),
        "upload_bit": _log_uniform(rng, 2e5, 5e6),
        "initial_gap": rng.uniform(0.5, 5.0),
        "smoothness": smoothness,
        "pl_constant": smoothness * _log_uniform(rng, 0.01, 1.0),
        "distribution_gap": float(rng.choice([0.0, 0.05, 1.0])),
        "dissimilarity": float(rng.choice([0.0, 0.5, 5.0], p=[0.6, 0.2, 0.2])),
        "server_step_size": rng.uniform(0.2, 1.0) / smoothness,
        "device_step_size": rng.uniform(0.2, 1.0) / smoothness,
        "server_gradient_variance": _log_uniform(rng, 1.0, 100.0),
        "device_gradient_variance": _one_or_each(rng, K, lambda size: _log_uniform(rng, 1.0, 100.0, size)),
        "device_weight": (weight / np.sum(weight)).tolist(),
    }


def _typical_rounds(table):
    """Durations and energies of both kinds of round with everything midway, and the least a fine-tuning round takes."""
    server, devices, radio, learning = (table[part] for part in ("server", "devices", "radio", "learning"))
    flops = learning["flops_per_sample"]
    freq_hz = np.sqrt(server["freq_min_hz"] * server["freq_max_hz"])
    cycles = flops / server["flops_per_cycle"] * np.sqrt(server["batch_max"])
    low_hz, high_hz = np.array(devices["freq_min_hz"]), np.array(devices["freq_max_hz"])
    one_sample, kappa = flops / np.array(devices["flops_per_cycle"]), np.array(devices["capacitance_j_s2"])
    device_cycles = one_sample * np.sqrt(devices["batch_max"])
    power_w = np.sqrt(np.array(devices["power_min_w"]) * np.array(devices["power_max_w"]))
    gain = radio["gain_at_1m"] * np.array(devices["distance_m"]) ** -radio["path_loss_exponent"]
    noise_w = radio["noise_w_per_hz"] * np.array(radio["bandwidth_hz"])
    upload_s = learning["upload_bit"] / (np.array(radio["bandwidth_hz"]) * np.log2(1 + power_w * gain / noise_w))
    device_j = kappa * device_cycles * low_hz * high_hz + power_w * upload_s
    return {
        "device_j": device_j,
        "pretrain_s": cycles / freq_hz,
        "pretrain_j": server["overhead_factor"] * server["capacitance_j_s2"] * cycles * freq_hz**2,
        "finetune_s": radio["downlink_s"] + np.max(device_cycles / np.sqrt(low_hz * high_hz) + upload_s),
        "finetune_j": radio["downlink_j"] + np.sum(device_j),
        "least_s": radio["downlink_s"] + np.max(one_sample / high_hz),
        "least_j": radio["downlink_j"] + np.sum(kappa * one_sample * low_hz**2),
    }


def _energy(rng, typical, T, batteries):
    device_j, round_s = typical["device_j"], typical["finetune_s"]
    K = len(device_j)
    kinds = rng.choice(BATTERY_KINDS[:3], K) if batteries == "mixed" else np.full(K, batteries)
    capacity_j = device_j * np.where(kinds == "ample", 20.0 * T, _log_uniform(rng, 1.5, 8.0, K))
    filled = np.where(kinds == "binding", rng.choice([0.0, 0.1, 0.5], K), 1.0)
    harvest_w = device_j / round_s * _log_uniform(rng, 0.1, 2.0, K)
    return {
        "battery_initial_j": (capacity_j * filled).tolist(),
        "battery_capacity_j": capacity_j.tolist(),
        "harvest_mean_w": np.where(kinds == "starved", 0.0, harvest_w).tolist(),
        "harvest_flip_probability": float(rng.choice([0.0, 0.1, 0.5])),
    }


def _budgets(rng, typical, T):
    """Budgets of a fraction to a multiple of what T typical rounds take; never below one affordable round."""
    needed_s = T * (typical["pretrain_s"] + typical["finetune_s"]) / 2
    needed_j = T * (typical["pretrain_j"] + typical["finetune_j"]) / 2
    return {
        "delay_s": max(needed_s * _log_uniform(rng, 0.3, 30.0), 1.5 * typical["least_s"]),
        "energy_j": max(needed_j * _log_uniform(rng, 0.3, 30.0), 1.5 * typical["least_j"]),
        "max_rounds": T,
    }
