"""Drift plus penalty with codes: in every round the code whose expected drift plus penalty is least."""

import dataclasses
from functools import cached_property

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.gradient_coding.model.cheapest_codes import cheapest_codes
from edgelearn_env.baselines.gradient_coding.model.choices import Choices, holders_of
from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.model.closed_forms import cheapest_frequency_hz, cheapest_sample
from edgelearn_env.baselines.stages.model.hardware import Hardware
from edgelearn_env.baselines.stages.policies.largest_round import DevicesRound
from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.policies.priced_round import RoundLimits, RoundPrices, priced_finetune_round
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import finetune_round
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.model import Observed
from edgelearn_env.stages.bounds import dissimilarity_share

# How far from its best the design of a coded round may be, of what the round is worth.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedLyapunov(Lyapunov):
    """`Lyapunov` that also chooses a code for each round.

    For every code that it may use it designs the round that is cheapest at the queues' prices if nothing unlikely
    happens: without a code as `Lyapunov` does, with one asking everybody. Then it plays each on samples of what the
    round may hide, through the system's own dynamics, and takes the code with the least mean drift plus penalty.

    Attributes:
        scenario: with its codes.
        codes: (s_e, s_w) that it may use.
        remembers: whether it takes slow devices to stay slow, by the law of their chain.
        num_samples: of what a round may hide; none to trust the likely case.
    """

    scenario: GradientCodingScenario
    codes: tuple[tuple[int, int], ...]
    remembers: bool = True
    num_samples: int = 16

    def __call__(self, observed: Observed) -> Allocation:
        """The round with the least mean drift plus penalty, of the stage that is on."""
        staged = super().__call__(observed)
        shape = observed.state.battery_j.shape
        none = np.zeros(shape[0], dtype=np.int64)
        decided = Allocation(
            **staged._asdict(), edge_stragglers=none, device_stragglers=none.copy(), asked=np.ones(shape, dtype=bool)
        )
        if not np.any(staged.switch & ~observed.state.ended) or self.codes == ((0, 0),):
            return decided
        prices = self.round_prices(observed)
        options = [self._with_code(decided, observed, prices, code) for code in self.codes]
        costs = np.stack([self._expected_cost(option, observed, prices) for option in options])
        best = np.argmin(costs, axis=0)
        return mapped(lambda *arrays: np.stack(arrays)[best, np.arange(shape[0])], *options)

    def _finetune_round(self, observed: Observed, prices: RoundPrices) -> DevicesRound:
        """The round without a code at those prices."""
        return priced_finetune_round(self.constants, observed, prices, self._hardware(observed))

    def _hardware(self, observed: Observed) -> Hardware:
        """What the round will meet if nothing unlikely happens."""
        hidden = self._forecast.likely(observed.state.seen.slowdown)
        return straggling_hardware(self.scenario, observed.conditions.channel_gain, hidden)

    @cached_property
    def _forecast(self) -> StragglerForecast:
        return StragglerForecast.of(self.scenario, remembers=self.remembers)

    @cached_property
    def _coding(self) -> CodingConstants:
        return CodingConstants.of(self.scenario)

    def _with_code(
        self, plain: Allocation, observed: Observed, prices: RoundPrices, code: tuple[int, int]
    ) -> Allocation:
        """The cheapest round of everybody with that code."""
        if code == (0, 0):
            return plain
        num_devices, hardware = self.scenario.num_devices, self._hardware(observed)
        held = holders_of(self.scenario, code)
        everybody = Choices(np.ones(1, dtype=int), np.ones((1, num_devices), dtype=bool), held[None])
        costs = RoundCosts(
            second=prices.second,
            joule=prices.joule,
            gain=prices.gain,
            noise=prices.noise,
            dissimilarity=np.zeros(num_devices),
            devices=hardware.devices,
            uplink=hardware.uplink,
            longest_s=RoundLimits.of(self.constants, observed).seconds,
            sets=AllowedSets.all_of(*prices.joule.shape),
        )
        worth = float(np.max(np.sum(prices.gain, axis=1)))
        nothing, no_limit = np.zeros(prices.joule.shape), np.full(len(prices.second), np.inf)
        found = cheapest_codes(costs, everybody, nothing, 0.0, _TOLERANCE * worth, no_limit)
        sample = cheapest_sample(found.finish, prices.joule, hardware.devices)
        load = found.batch @ held.T
        upload_s = found.finish_s - load * sample.seconds - hardware.uplink.wait_s
        power_w = hardware.uplink.noise_w * np.expm1(hardware.uplink.nats_s / upload_s)
        return plain._replace(
            freq_hz=cheapest_frequency_hz(found.finish, prices.joule, hardware.devices),
            power_w=np.minimum(power_w, hardware.uplink.power_max_w),
            batch=np.maximum(np.floor(found.batch), 1.0),
            edge_stragglers=np.full_like(plain.edge_stragglers, code[0]),
            device_stragglers=np.full_like(plain.device_stragglers, code[1]),
        )

    def _expected_cost(self, allocation: Allocation, observed: Observed, prices: RoundPrices) -> np.ndarray:
        """Mean drift plus penalty of a round over what it may hide, (B,)."""
        seen = observed.state.seen.slowdown
        if not self.num_samples:
            return self._cost(allocation, observed, prices, self._forecast.likely(seen))
        drawn = self._forecast.sampled(seen, self._uniforms)
        costs = [
            self._cost(allocation, observed, prices, Hidden(*(array[index] for array in drawn)))
            for index in range(self.num_samples)
        ]
        mean: np.ndarray = np.mean(costs, axis=0)
        return mean

    @cached_property
    def _uniforms(self) -> np.ndarray:
        """The same random numbers in every round, so that codes are compared on the same luck."""
        shape = (self.num_samples, 1, 3 * self.scenario.num_devices + self.scenario.coding.num_edges)
        return np.random.default_rng(0).uniform(size=shape)

    def _cost(self, allocation: Allocation, observed: Observed, prices: RoundPrices, hidden: Hidden) -> np.ndarray:
        """Drift plus penalty of a round that hides this, (B,)."""
        conditions = observed.conditions._replace(hidden=hidden)
        played, _ = finetune_round(self._coding, observed.state.battery_j, conditions, allocation)
        noise = np.divide(prices.noise, allocation.batch, where=played.contributes, out=np.zeros(hidden.slowdown.shape))
        gained = np.sum(np.where(played.contributes, prices.gain, 0.0) - noise, axis=1)
        omega = played.contributes @ np.broadcast_to(self.constants.device_weight, (self.scenario.num_devices,))
        spent_j = played.devices.compute_j + played.devices.upload_j
        paid = prices.second * played.duration_s + np.sum(prices.joule * spent_j, axis=1)
        cost: np.ndarray = paid - gained + prices.dissimilarity * dissimilarity_share(omega)
        return cost
