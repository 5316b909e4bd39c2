"""One episode with fixed numbers of rounds, as data: what the conic program and its dual both read."""

import dataclasses
from functools import cached_property

import numpy as np

from edgelearn_env.baselines.prices import Processor, Uplink
from edgelearn_env.bounds import BatchSizeForm
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Tape


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedEpisode:
    """M pre-training rounds, then N fine-tuning rounds, on a known tape.

    Attributes:
        scenario: the system.
        tape: of shape (T, K) with T >= M + N.
        num_pretrain_rounds: M.
        num_finetune_rounds: N.
    """

    scenario: Scenario
    tape: Tape
    num_pretrain_rounds: int
    num_finetune_rounds: int

    @cached_property
    def form(self) -> BatchSizeForm:
        """The learning bound as a function of the batch sizes."""
        return self.scenario.bound.batch_size_form(self.num_pretrain_rounds, self.num_finetune_rounds)

    @cached_property
    def server_noise_price(self) -> np.ndarray:
        """What 1/b of each pre-training round adds to the bound, (M,)."""
        before_switch = np.arange(self.num_pretrain_rounds)[::-1]
        return self.form.pretrain_weight * self.form.pretrain_decay**before_switch

    @cached_property
    def device_noise_price(self) -> np.ndarray:
        """What 1/b_k of one fine-tuning round adds to the bound, (K,)."""
        return self.form.finetune_weight * self.scenario.gradient_noise_weight

    @cached_property
    def pretrain_harvest_w(self) -> np.ndarray:
        """h in the pre-training rounds, W, (M, K)."""
        return self.tape.harvest_w[: self.num_pretrain_rounds]

    @cached_property
    def finetune_harvest_w(self) -> np.ndarray:
        """h in the fine-tuning rounds, W, (N, K)."""
        return self.tape.harvest_w[self.num_pretrain_rounds :][: self.num_finetune_rounds]

    @cached_property
    def finetune_delay_s(self) -> float:
        """What the delay budget leaves when all downlinks are paid, s."""
        return self.scenario.budgets.delay_s - self.num_finetune_rounds * self.scenario.radio.downlink_s

    @cached_property
    def finetune_energy_j(self) -> float:
        """What the energy budget leaves when all downlinks are paid, J."""
        return self.scenario.budgets.energy_j - self.num_finetune_rounds * self.scenario.radio.downlink_j

    @cached_property
    def server(self) -> Processor:
        """The server's processor, its overhead factor within the energy constant."""
        server = self.scenario.server
        return Processor(
            cycles_per_sample=np.float64(self.scenario.server_cycles_per_sample),
            capacitance_j_s2=np.float64(server.overhead_factor * server.capacitance_j_s2),
            freq_min_hz=np.float64(server.freq_min_hz),
            freq_max_hz=np.float64(server.freq_max_hz),
            batch_max=np.float64(server.batch_max),
        )

    @cached_property
    def devices(self) -> Processor:
        """The devices' processors, each field (K,)."""
        devices = self.scenario.devices
        return Processor(
            cycles_per_sample=self.scenario.device_cycles_per_sample,
            capacitance_j_s2=devices.capacitance_j_s2,
            freq_min_hz=devices.freq_min_hz,
            freq_max_hz=devices.freq_max_hz,
            batch_max=devices.batch_max,
        )

    @cached_property
    def uplink(self) -> Uplink:
        """The uplinks in the fine-tuning rounds; `noise_w` is (N, K)."""
        radio, learning = self.scenario.radio, self.scenario.learning
        gain = self.tape.channel_gain[self.num_pretrain_rounds :][: self.num_finetune_rounds]
        return Uplink(
            nats_s=learning.upload_bit * np.log(2) / radio.bandwidth_hz,
            noise_w=radio.noise_w_per_hz * radio.bandwidth_hz / gain,
            power_max_w=self.scenario.devices.power_max_w,
        )

    def learning_bound(self, server_batch: np.ndarray, batch: np.ndarray) -> float:
        """Phi of batch sizes (M,) and (N, K)."""
        noise = np.sum(self.server_noise_price / server_batch) + np.sum(self.device_noise_price / batch)
        return float(self.form.constant + noise)
