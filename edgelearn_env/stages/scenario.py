"""Scenarios whose episodes have two stages: the parts that all systems have, and the learning constants."""

import dataclasses

import numpy as np

from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.scenarios.parts import PerDevice, part
from edgelearn_env.scenarios.quantities import Quantities, quantity
from edgelearn_env.scenarios.scenario import Scenario, size_and_budgets
from edgelearn_env.stages.bounds import BOUNDS, LearningBound, least_weight, value_range


@part
class Learning(Quantities):
    """The model that is trained and the constants of its learning bound."""

    objective: str = "finetune"
    flops_per_sample: float = quantity("training FLOPs of one sample", "c", "FLOP", above=0)
    upload_bit: float = quantity("size of an uploaded gradient", "Q", "bit", above=0)
    initial_gap: float = quantity("task loss above its least value at the start", "G_0", above=0)
    smoothness: float = quantity("smoothness constant of the loss", "L", above=0)
    pl_constant: float = quantity("Polyak-Lojasiewicz constant", "mu", above=0)
    distribution_gap: float = quantity("squared gradient distance between general and task data", "delta^2", at_least=0)
    dissimilarity: float = quantity(
        "squared gradient distance between a device's data and all task data, at most",
        "zeta^2",
        at_least=0,
        default=0.0,
    )
    server_step_size: float = quantity("step size of pre-training", "eta_0", above=0)
    device_step_size: float = quantity("step size of fine-tuning", "eta", above=0)
    server_gradient_variance: float = quantity("gradient variance of one general sample", "sigma_0^2", at_least=0)
    device_gradient_variance: PerDevice = quantity(
        "gradient variance of one task sample", "sigma_k^2", at_least=0, per_device=True
    )
    device_weight: PerDevice = quantity(
        "aggregation weight; all weights sum to 1", "omega_k", at_least=0, per_device=True, sums_to_one=True
    )

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        known = isinstance(self.objective, str) and self.objective in BOUNDS
        self.require(known, "objective", f"must be one of {', '.join(BOUNDS)}")
        largest = 1 / self.smoothness
        for name in ("server_step_size", "device_step_size"):
            # The quotient 1/L is rounded: eta = 1/L as a user writes it must pass.
            fits = getattr(self, name) <= largest * (1 + 1e-12)
            self.require(fits, name, f"must be at most 1/learning.smoothness = {largest:g}")
        self.require(self.pl_constant <= self.smoothness, "pl_constant", "must be at most learning.smoothness")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StagedScenario(Scenario):
    """What is fixed in episodes of pre-training and fine-tuning; per-device fields are read-only arrays of shape (K,).

    Raises:
        InvalidInputError: a value is out of its limits, an array has the wrong length, or a budget cannot pay for a
            single fine-tuning round.
    """

    learning: Learning

    def __post_init__(self) -> None:
        Scenario.__post_init__(self)
        total = float(np.sum(self.learning.device_weight))
        self.learning.require(abs(total - 1) < 1e-9, "device_weight", f"must sum to 1 (the sum is {total:g})")
        self._require_one_affordable_round()
        least, _ = self.bound_value_range
        self.learning.require(
            least > _LEAST_BOUND,
            "objective",
            f"leaves nothing to decide: within {self.budgets.max_rounds} rounds the bound can fall to {least:.2g}",
        )

    @property
    def in_words(self) -> str:
        """Its size, budgets and objective, for a title: `10 devices, 200 s, 60 J, finetune bound`."""
        return f"{size_and_budgets(self)}, {self.learning.objective} bound"

    @property
    def server_cycles_per_sample(self) -> float:
        """a_s = c / c_s: clock cycles the server needs for one sample."""
        return self.learning.flops_per_sample / self.server.flops_per_cycle

    @property
    def device_cycles_per_sample(self) -> np.ndarray:
        """a_k = c / c_k: clock cycles device k needs for one sample, (K,)."""
        return np.asarray(self.learning.flops_per_sample / self.devices.flops_per_cycle)

    @property
    def mean_channel_gain(self) -> np.ndarray:
        """g_1 d_k^-alpha: channel gain without fading and shadowing, (K,)."""
        return np.asarray(self.radio.gain_at_1m * self.devices.distance_m**-self.radio.path_loss_exponent)

    @property
    def gradient_noise_weight(self) -> np.ndarray:
        """omega_k^2 sigma_k^2: what device k's 1/b_k counts in the bound, (K,)."""
        return np.asarray(self.learning.device_weight**2 * self.learning.device_gradient_variance)

    @property
    def bound(self) -> LearningBound:
        """The learning bound that `learning.objective` names, with this scenario's constants."""
        return BOUNDS[self.learning.objective].of(self.learning)

    @property
    def bound_value_range(self) -> tuple[float, float]:
        """Two values that the bound lies between at any time of any episode."""
        learning = self.learning
        form = self.bound.quotient_form(np.arange(self.budgets.max_rounds + 1))
        shares = form.finetune_weight * learning.device_weight * learning.device_gradient_variance
        least = np.min(shares / self.devices.batch_max, where=learning.device_weight > 0, initial=np.inf)
        noise = (float(least), float(np.max(shares)))
        return value_range(form, self.server.batch_max, noise, least_weight(learning.device_weight))

    def _require_one_affordable_round(self) -> None:
        """A budget that cannot pay for one fine-tuning round of one sample of one device leaves nothing to decide."""
        cycles, devices = self.device_cycles_per_sample, self.devices
        device_s = compute_time_s(cycles, 1, devices.freq_max_hz)
        device_j = compute_energy_j(devices.capacitance_j_s2, cycles, 1, devices.freq_min_hz)
        least_s = self.radio.downlink_s + float(np.min(device_s))
        least_j = self.radio.downlink_j + float(np.min(device_j))
        for name, least, unit in (("delay_s", least_s, "s"), ("energy_j", least_j, "J")):
            budget = getattr(self.budgets, name)
            lacking = f"is infeasible, too small by {least - budget:.3g} {unit}"
            needed = f"one fine-tuning round of one sample takes {least:.3g} {unit} before any upload"
            self.budgets.require(budget > least, name, f"{lacking}: {needed}")


# Numbers below it are lost among those that double precision has.
_LEAST_BOUND = 1e-200
