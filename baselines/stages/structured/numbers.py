"""The numbers of an episode's program, device by device that takes part: what the structured solver works on."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

# Numbers that mean a program of another kind: shared parts of the data, fixed clocks or powers, budgets of one stage,
# overdrafts.
_OTHER_KINDS = {"held", "sample_joule", "fixed_upload_s", "server_delay", "overdraft_price"}


@dataclasses.dataclass(frozen=True, slots=True)
class Computing:
    """Batches b computed in t: energy (a b)^3 / t^2, `fastest` b <= t <= `slowest` b, noise d / b.

    Attributes:
        cone: a^3; fastest, slowest: as above; noise: d, 0 where the batch is given.
        least, most: of a batch; both the batch where it is given.
        varies: whose batches leave a choice.
        follows: t / b of those whose clocks leave no choice, 0 of others.
    """

    cone: np.ndarray
    fastest: np.ndarray
    slowest: np.ndarray
    noise: np.ndarray
    least: np.ndarray
    most: np.ndarray
    varies: np.ndarray = dataclasses.field(init=False)
    follows: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "varies", self.most > self.least)
        object.__setattr__(self, "follows", np.where(self.slowest > self.fastest, 0.0, self.fastest))

    def energy(self, batch: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(a b)^3 / t^2."""
        return np.asarray(self.cone * batch**3 / seconds**2)


class Numbers(NamedTuple):
    """A program in which C devices take part, over all of N rounds; the server has M rounds before.

    All is in the units of `conic.program_data.Scales`, in which variables are of order one.

    Attributes:
        is_fixed: whether all batches are given.
        round_index, device: of each that takes part, (C,).
        devices, server: what they compute, (C,) and (M,).
        busy, stall: c and y of c t + y b + u <= D + late; late: likewise, (C,).
        nats, noise_w: q and n of the upload's energy n u (e^(q/u) - 1); least_upload: of u, by the power limit, (C,).
        pay, spend, use: what a joule of theirs counts in the battery before and after it, and in the budget, (C,).
        stored, stored_anyway: h and what the downlink's time stores, (N, K).
        capacity, start: of batteries, (N, K), and before the first round, (K,).
        is_idle: in which rounds nobody takes part; idle_s: how long those last, less the downlink's time, (N,).
        duration_use: what a second of a round counts in the budget, (N,).
        server_second_use, server_joule_use: the same of the server's, (M,).
        server_harvest: what devices store meanwhile, (K, M).
        delay, energy: the budgets.
    """

    is_fixed: bool
    round_index: np.ndarray
    device: np.ndarray
    devices: Computing
    server: Computing
    busy: np.ndarray
    stall: np.ndarray
    late: np.ndarray
    nats: np.ndarray
    noise_w: np.ndarray
    least_upload: np.ndarray
    pay: np.ndarray
    spend: np.ndarray
    use: np.ndarray
    stored: np.ndarray
    stored_anyway: np.ndarray
    capacity: np.ndarray
    start: np.ndarray
    is_idle: np.ndarray
    idle_s: np.ndarray
    duration_use: np.ndarray
    server_second_use: np.ndarray
    server_joule_use: np.ndarray
    server_harvest: np.ndarray
    delay: float
    energy: float

    @classmethod
    def of(cls, data: Mapping[str, np.ndarray], sizes: tuple[int, int, int]) -> Self | None:
        """Those of a program's data; None for one of another kind, or without rounds of devices.

        Args:
            data: `conic.program_data.program_data`.
            sizes: M, N and K.
        """
        num_pretrain, num_finetune, num_devices = sizes
        if not num_finetune or _OTHER_KINDS & set(data):
            return None
        round_index, device = np.nonzero(data["paying"] > 0)
        each = {name: value[round_index, device] for name, value in data.items() if np.shape(value) == sizes[1:]}
        noise_w = each["decay"] / each["decay_by_noise"]
        nothing = np.zeros(len(device))
        return cls(
            is_fixed="fixed_batch" in data,
            round_index=round_index,
            device=device,
            devices=_computing(each, nothing),
            server=_computing(
                {name.removeprefix("server_"): value for name, value in data.items() if name.startswith("server_")},
                np.zeros(num_pretrain),
            ),
            busy=each["compute_use"],
            stall=each.get("stall", nothing),
            late=each["late"],
            nats=each["nats"],
            noise_w=noise_w,
            least_upload=each["nats"] / np.log1p(each["power"] / noise_w),
            pay=each["paying"],
            spend=each["spending"],
            use=each["energy_use"],
            stored=data["stored"],
            stored_anyway=data["stored_in_downlink"],
            capacity=data["capacity"],
            start=data["start"],
            is_idle=data["idle"] > 0 if "idle" in data else np.zeros(num_finetune, dtype=bool),
            idle_s=data.get("idle_s", np.zeros(num_finetune)),
            duration_use=data["duration_use"],
            server_second_use=data.get("server_second_use", np.zeros(0)),
            server_joule_use=data.get("server_joule_use", np.zeros(0)),
            server_harvest=data.get("server_harvest", np.zeros((num_devices, 0))),
            delay=float(data["delay"]),
            energy=float(data["energy"]),
        )


def _computing(data: Mapping[str, np.ndarray], nothing: np.ndarray) -> Computing:
    """Of one stage; empty where it is not played."""
    if not len(nothing):
        return Computing(nothing, nothing, nothing, nothing, nothing, nothing)
    fixed = data.get("fixed_batch")
    return Computing(
        cone=data["cone"] ** 3 + nothing,
        fastest=data["fastest"] + nothing,
        slowest=data["slowest"] + nothing,
        noise=(data["noise"] if fixed is None else 0.0) + nothing,
        least=(data["least"] if fixed is None else fixed) + nothing,
        most=(data["most"] if fixed is None else fixed) + nothing,
    )
