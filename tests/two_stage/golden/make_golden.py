"""Write the golden episodes: `python tests/golden/make_golden.py`.

Every file holds a system, a tape, what was allocated and what must come of it, according to the scalar transcription.
"""

import json
import math
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from two_stage.golden.transcription import episode

FOLDER = Path(__file__).parent

_SYSTEM = {
    "name": "golden",
    "server": {
        "flops_per_cycle": 16.0,
        "freq_min_hz": 0.5e9,
        "freq_max_hz": 2.5e9,
        "capacitance_j_s2": 1.5e-26,
        "overhead_factor": 1.3,
        "batch_max": 256,
    },
    "devices": {
        "num_devices": 3,
        "flops_per_cycle": [4.0, 2.0, 8.0],
        "freq_min_hz": [0.1e9, 0.2e9, 0.05e9],
        "freq_max_hz": [1.2e9, 0.9e9, 0.6e9],
        "capacitance_j_s2": [8.7e-28, 1.5e-27, 1.1e-27],
        "batch_max": [64, 32, 128],
        "power_min_w": 1e-3,
        "power_max_w": [0.2, 0.1, 0.25],
        "distance_m": [110.0, 75.0, 160.0],
    },
    "radio": {
        "bandwidth_hz": [1e6, 0.8e6, 2e6],
        "noise_w_per_hz": 1.25e-20,
        "gain_at_1m": 1e-3,
        "path_loss_exponent": 3.0,
        "shadowing_std_db": 0.0,
        "fading_correlation": 0.9,
        "downlink_s": 0.02,
        "downlink_j": 0.01,
        "idle_s": 0.7,
    },
    "energy": {
        "battery_initial_j": 0.3,
        "battery_capacity_j": [0.6, 0.5, 0.7],
        "harvest_mean_w": 0.05,
        "harvest_flip_probability": 0.1,
    },
    "learning": {
        "objective": "finetune",
        "flops_per_sample": 2e7,
        "upload_bit": 2e6,
        "initial_gap": 2.0,
        "smoothness": 8.0,
        "pl_constant": 1.5,
        "distribution_gap": 0.08,
        "dissimilarity": 0.6,
        "server_step_size": 0.1,
        "device_step_size": 0.12,
        "server_gradient_variance": 40.0,
        "device_gradient_variance": [50.0, 20.0, 90.0],
        "device_weight": [0.5, 0.2, 0.3],
    },
    "budgets": {"delay_s": 100.0, "energy_j": 100.0, "max_rounds": 12},
}


def _changed(**parts):
    table = json.loads(json.dumps(_SYSTEM))
    for part, values in parts.items():
        table[part].update(values)
    return table


def _tape(dice, system, harvest_scale=1.0):
    T, K = system["budgets"]["max_rounds"], system["devices"]["num_devices"]
    mean_gain = [system["radio"]["gain_at_1m"] / distance**3 for distance in system["devices"]["distance_m"]]
    gains = [[mean_gain[k] * dice.expovariate(1.0) for k in range(K)] for _ in range(T)]
    return gains, [[harvest_scale * dice.uniform(0.01, 0.1) for _ in range(K)] for _ in range(T)]


def _allocations(dice, system, switch_round, low=0.0, high=1.0, silent=0.0):
    """Random decisions.

    `low` and `high` are the shares of every logarithmic range that are used, `silent` is the chance of no batch.
    """

    def between(least, most):
        return least * (most / least) ** dice.uniform(low, high)

    server, devices = system["server"], system["devices"]
    K = devices["num_devices"]
    return [
        {
            # After the switch the flag goes on and off: it must no longer matter.
            "switch": t >= switch_round and (t == switch_round or dice.random() < 0.5),
            "server_freq_hz": between(server["freq_min_hz"], server["freq_max_hz"]),
            "server_batch": float(round(between(1, server["batch_max"]))),
            "freq_hz": [between(devices["freq_min_hz"][k], devices["freq_max_hz"][k]) for k in range(K)],
            "power_w": [between(devices["power_min_w"], devices["power_max_w"][k]) for k in range(K)],
            "batch": [
                0.0 if dice.random() < silent else float(round(between(1, devices["batch_max"][k]))) for k in range(K)
            ],
        }
        for t in range(system["budgets"]["max_rounds"])
    ]


def _short_batteries():
    dice, system = random.Random(1), _changed(energy={"battery_initial_j": [0.01, 0.3, 0.0]})
    return system, *_tape(dice, system, 0.3), _allocations(dice, system, 2, 0.4, 0.9)


def _silent_by_choice():
    dice, system = random.Random(2), _changed(learning={"objective": "two-stage"})
    return system, *_tape(dice, system), _allocations(dice, system, 2, 0.3, 0.8, silent=0.6)


def _above_capacity():
    dice, system = random.Random(3), _changed(energy={"battery_initial_j": 0.1, "battery_capacity_j": [0.6, 0.5, 0.1]})
    allocations = _allocations(dice, system, 1, 0.2, 0.5)
    # In the fourth round of fine-tuning the third device asks for more than its battery ever holds.
    allocations[4].update(freq_hz=[0.3e9, 0.3e9, 0.6e9], batch=[8.0, 8.0, 128.0])
    return system, *_tape(dice, system, 2.0), allocations


def _nobody():
    dice, system = random.Random(9), _changed(energy={"battery_initial_j": 0.0}, budgets={"delay_s": 4.0})
    return system, *_tape(dice, system, 0.5), _allocations(dice, system, 1, 0.3, 0.6)


def _delay_end():
    dice, system = random.Random(4), _changed(budgets={"delay_s": 2.5}, learning={"objective": "two-stage"})
    return system, *_tape(dice, system, 10.0), _allocations(dice, system, 4, 0.3, 0.9)


def _energy_end():
    dice, system = random.Random(5), _changed(budgets={"energy_j": 1.6})
    return system, *_tape(dice, system, 10.0), _allocations(dice, system, 2, 0.2, 0.6)


def _last_round():
    dice, system = random.Random(6), _changed(learning={"objective": "two-stage"})
    return system, *_tape(dice, system, 3.0), _allocations(dice, system, 6, 0.2, 0.7)


def _switch_at_once():
    dice, system = random.Random(7), _changed()
    return system, *_tape(dice, system, 3.0), _allocations(dice, system, 0, 0.2, 0.7)


def _never_switching():
    dice, system = random.Random(8), _changed(learning={"objective": "two-stage", "server_step_size": 0.05})
    return system, *_tape(dice, system), _allocations(dice, system, math.inf)


EPISODES = {
    "short_batteries": _short_batteries,
    "silent_by_choice": _silent_by_choice,
    "above_capacity": _above_capacity,
    "nobody": _nobody,
    "delay_end": _delay_end,
    "energy_end": _energy_end,
    "last_round": _last_round,
    "switch_at_once": _switch_at_once,
    "never_switching": _never_switching,
}


def golden(name):
    """The golden record of that name, as the file holds it."""
    system, gains, harvests, allocations = EPISODES[name]()
    rounds = episode(system, gains, harvests, allocations)
    return {
        "system": system,
        "channel_gain": gains,
        "harvest_w": harvests,
        "allocations": allocations[: len(rounds)],
        "rounds": rounds,
    }


def text_of(record):
    """The record as JSON: one line a table, a round of the tape, an allocation or a round."""
    tables = []
    for key, value in record.items():
        if isinstance(value, dict):
            rows = [f"  {json.dumps(name)}: {json.dumps(entry, allow_nan=False)}" for name, entry in value.items()]
            opening, closing = "{", "}"
        else:
            rows = [f"  {json.dumps(entry, allow_nan=False)}" for entry in value]
            opening, closing = "[", "]"
        tables.append(f" {json.dumps(key)}: {opening}\n" + ",\n".join(rows) + f"\n {closing}")
    return "{\n" + ",\n".join(tables) + "\n}\n"


if __name__ == "__main__":
    for name in EPISODES:
        record = golden(name)
        (FOLDER / f"{name}.json").write_text(text_of(record), encoding="utf-8")
        print(f"{name}: {len(record['rounds'])} rounds, ended by {record['rounds'][-1]['end_reason']}")
