"""Which code a round is to have, and who is to work in it: what is cheapest in expectation."""

import dataclasses
import functools
from functools import cached_property

import numpy as np
from scipy.stats import qmc

from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.gradient_coding.policies.expected_round import ExpectedRound, ExpectedRounds, cheaper
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue
from edgelearn_env.baselines.stages.policies.largest_round import ServerRound
from edgelearn_env.baselines.stages.policies.priced_round import RoundPrices, priced_finetune_round
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.model import Observed


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundChoice:
    """For every code the round whose expected cost is least (`ExpectedRounds`), and of these the one that costs least.

    Without a code these are compared: a round of all devices, one of those that are worth it if nothing unlikely
    happens, one of all that are not known to be slowed, and one of nobody, which lets the slow ones recover.

    Attributes:
        scenario: with its codes.
        codes: (s_e, s_w) that may be used.
        remembers: whether slow devices are taken to stay slow, by the law of their chain.
        num_samples: of what a round may hide; none to trust the likely case.
    """

    scenario: GradientCodingScenario
    codes: tuple[tuple[int, int], ...]
    remembers: bool = True
    num_samples: int = 48

    def best(self, observed: Observed, prices: RoundPrices, time: TimeValue) -> ExpectedRound:
        """The round of least expected cost in each of B episodes that fine-tune."""
        rounds = ExpectedRounds(self._coding, observed, prices, time, self._drawn(observed))
        plain = self._plain(observed, prices)
        everybody = np.ones(plain.asked.shape, dtype=bool)
        options = [rounds.designed(plain, code, everybody) for code in self.codes]
        if (0, 0) in self.codes:
            options += self._without_code(rounds, plain, observed.state.seen.slowdown > 1)
        return functools.reduce(cheaper, options)

    def _without_code(self, rounds: ExpectedRounds, plain: Allocation, known_slow: np.ndarray) -> list[ExpectedRound]:
        """Rounds without a code of others than all devices."""
        options = [rounds.given(plain), rounds.nobody(plain)]
        for works in (plain.batch > 0, ~known_slow) if self.remembers else (plain.batch > 0,):
            somebody = np.any(works, axis=1, keepdims=True)
            options.append(rounds.designed(plain, (0, 0), np.where(somebody, works, True)))
        return options

    def _plain(self, observed: Observed, prices: RoundPrices) -> Allocation:
        """The round without a code that is cheapest if nothing unlikely happens."""
        hidden = self._forecast.likely(observed.state.seen.slowdown)
        hardware = straggling_hardware(self.scenario, observed.conditions.channel_gain, hidden)
        devices = priced_finetune_round(self._coding.staged, observed, prices, hardware)
        each = np.ones(len(observed.state.ended))
        server = ServerRound(each * self.scenario.server.freq_min_hz, each)
        return no_round(self.scenario, each > 0, server)._replace(**devices._asdict())

    def _drawn(self, observed: Observed) -> Hidden:
        """What the round may hide, (S, B, K) and (S, B, n)."""
        seen = observed.state.seen.slowdown
        if not self.num_samples:
            return Hidden(*(array[None] for array in self._forecast.likely(seen)))
        return self._forecast.sampled(seen, self._uniforms)

    @cached_property
    def _forecast(self) -> StragglerForecast:
        return StragglerForecast.of(self.scenario, remembers=self.remembers)

    @cached_property
    def _coding(self) -> CodingConstants:
        return CodingConstants.of(self.scenario)

    @cached_property
    def _uniforms(self) -> np.ndarray:
        """The same numbers in every round, so that codes are compared on the same luck; spread out evenly."""
        size = 3 * self.scenario.num_devices + self.scenario.coding.num_edges
        uniforms: np.ndarray = qmc.LatinHypercube(size, seed=0).random(self.num_samples)
        return uniforms[:, None]


def no_round(scenario: GradientCodingScenario, switch: np.ndarray, server: ServerRound) -> Allocation:
    """A round of that server and of no device, without a code, in each of B episodes."""
    shape = (len(switch), scenario.num_devices)
    none = np.zeros(shape[0], dtype=np.int64)
    return Allocation(
        switch=switch,
        server_freq_hz=server.freq_hz.copy(),
        server_batch=server.batch,
        freq_hz=np.full(shape, scenario.devices.freq_min_hz),
        power_w=np.full(shape, scenario.devices.power_max_w),
        batch=np.zeros(shape),
        edge_stragglers=none,
        device_stragglers=none.copy(),
        asked=np.ones(shape, dtype=bool),
    )
