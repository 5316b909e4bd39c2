"""Random small systems of layer tuning and their allocations: raw material of the property tests."""

import numpy as np
from random_scenarios import random_allocation, random_scenario

from edgelearn_env.layer_tuning.records import Allocation
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.physics.transformer import layer_costs

FAMILIES = ((1,), (2,), (3,), (1, 2), (2, 3), (1, 3), (1, 2, 4))
SIZE = {
    "width": 16,
    "heads": 2,
    "tokens": 8,
    "outputs": 10,
    "embedding_weights": 288,
    "predicts_every_token": True,
}


def random_layers(
    rng: np.random.Generator, *, depths: tuple[int, ...] | None = None, memory: str | None = None, **choices
) -> LayerTuningScenario:
    """A valid system with nets of some depths.

    Args:
        rng: decides everything that is not given.
        depths: l of each net.
        memory: `ample` holds everything, `short` some levels with some batches, for at least one device.
        choices: those of `random_scenario`.
    """
    family = FAMILIES[rng.integers(len(FAMILIES))] if depths is None else depths
    table = random_scenario(rng, **choices).to_dict() | {"system": "layer-tuning"}
    table["networks"] = {
        **SIZE,
        "depths": list(family),
        "gap_factor": rng.uniform(0.7, 1.3, len(family)).tolist(),
        "distribution_factor": rng.uniform(0.5, 2.0, len(family)).tolist(),
        "floor": (rng.choice([0.0, 0.01, 0.3], len(family)) * table["learning"]["initial_gap"]).tolist(),
        "share": [[*np.sort(rng.uniform(0.2, 1.0, depth - 1)).tolist(), 1.0] for depth in family],
        "noise_factor": [rng.uniform(0.3, 1.0, depth).tolist() for depth in family],
    }
    count = table["devices"]["num_devices"]
    limits = np.full(count, 1e9)
    made = LayerTuningScenario.from_dict(table | {"memory": {"limit_byte": limits.tolist()}})
    if (memory or str(rng.choice(["ample", "short", "short"]))) == "short":
        least = layer_costs(made.networks.size, family[0], 1, 1, 1).peak_bytes
        most = layer_costs(made.networks.size, family[-1], family[-1], int(made.devices.batch_max.max()), 1).peak_bytes
        limits = np.exp(rng.uniform(np.log(0.8 * least), np.log(most), count))
        limits[rng.integers(count)] = most
    return made.replace(memory={"limit_byte": limits, "optimizer_words": int(rng.integers(2))})


def random_layers_allocation(
    rng: np.random.Generator, scenario: LayerTuningScenario, batch_size: int, **choices
) -> Allocation:
    """Any allocation within the limits; `choices` as `random_allocation`'s."""
    networks = scenario.networks
    return Allocation(
        **random_allocation(rng, scenario, batch_size, **choices)._asdict(),
        depth=rng.choice(np.asarray(networks.depths), batch_size),
        blocks=rng.integers(networks.most_blocks + 1, size=(batch_size, scenario.num_devices)),
    )


def random_layers_policy(rng: np.random.Generator, scenario: LayerTuningScenario, *, whole: bool = True):
    """A policy that decides at random in every round; some never switch, some are thrifty, some train little."""
    chance, ceiling = float(rng.choice([0.0, 0.15, 0.4, 1.0])), float(rng.choice([0.2, 0.5, 1.0]))

    def decide(observed) -> Allocation:
        drawn = random_layers_allocation(rng, scenario, len(observed.state.ended), switch=chance, ceiling=ceiling)
        if whole:
            return drawn
        batch = drawn.batch * np.exp(rng.uniform(-0.5, 0.5, drawn.batch.shape))
        return drawn._replace(batch=np.where(drawn.batch > 0, np.clip(batch, 1, scenario.devices.batch_max), 0.0))

    return decide
