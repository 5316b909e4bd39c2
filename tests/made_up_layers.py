"""The preset `layers` with constants of learning and nets that are made up, since measured ones change."""

from edgelearn_env.scenarios.scenario import Scenario

_SHARE = [[0.75, 1.0], [0.55, 0.75, 0.9, 1.0], [0.45, 0.65, 0.8, 0.9, 0.96, 1.0]]
_NOISE = [[0.8, 1.0], [0.65, 0.8, 0.92, 1.0], [0.55, 0.72, 0.84, 0.92, 0.97, 1.0]]
_LEARNING = (
    *("initial_gap", "smoothness", "pl_constant", "distribution_gap", "dissimilarity"),
    *("server_step_size", "device_step_size", "server_gradient_variance"),
)
_DEFAULT = Scenario.preset("default").learning

MADE_UP_LAYERS = Scenario.preset("layers").replace(
    learning={
        **{name: getattr(_DEFAULT, name) for name in _LEARNING},
        "device_gradient_variance": float(_DEFAULT.device_gradient_variance[0]),
    },
    networks={
        "gap_factor": [0.9, 0.95, 1.0],
        "distribution_factor": [1.0, 1.0, 1.0],
        "floor": [0.5, 0.2, 0.0],
        "share": _SHARE,
        "noise_factor": _NOISE,
    },
)
