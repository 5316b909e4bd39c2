"""What a system and the engine of priced rounds tell each other."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Setting(NamedTuple):
    """What couples the rounds of an episode: budgets, and the batteries of K devices on a tape of T rounds.

    Attributes:
        delay_s, energy_j: what all rounds may take together, s and J; where pre-training has budgets of its own, what
            fine-tuning may.
        pretrain_delay_s, pretrain_energy_j: pre-training's own budgets; None where both stages share one.
        harvest_w: h, W, (T, K).
        battery_initial_j, battery_capacity_j: J, (K,).
    """

    delay_s: float
    energy_j: float
    pretrain_delay_s: float | None
    pretrain_energy_j: float | None
    harvest_w: np.ndarray
    battery_initial_j: np.ndarray
    battery_capacity_j: np.ndarray

    @property
    def num_rounds(self) -> int:
        """T."""
        return len(self.harvest_w)

    @property
    def has_own_budgets(self) -> bool:
        """Whether pre-training has budgets of its own."""
        return self.pretrain_delay_s is not None

    @property
    def pretrain_budgets(self) -> tuple[float, float]:
        """What pre-training may take, s and J; alone, or together with fine-tuning."""
        own_s, own_j = self.pretrain_delay_s, self.pretrain_energy_j
        return self.delay_s if own_s is None else own_s, self.energy_j if own_j is None else own_j


class Prices(NamedTuple):
    """Prices of what couples the rounds, in units of the bound's numerator A; all at least 0.

    Attributes:
        time, energy: of a second and of a joule of the budgets.
        pretrain_time, pretrain_energy: of those that pre-training uses; the same where both stages share one.
        carry: of the charge that a battery has at the start of round t, per joule, (T + 1, K).
        pay: of e <= battery for a device that takes part in round t, per joule, (T, K).
    """

    time: float
    energy: float
    pretrain_time: float
    pretrain_energy: float
    carry: np.ndarray
    pay: np.ndarray

    @property
    def joule(self) -> np.ndarray:
        """What a joule that a device spends in round t costs, (T, K)."""
        joule: np.ndarray = self.energy + self.pay + self.carry[1:]
        return joule

    def second(self, setting: Setting) -> np.ndarray:
        """What a second of round t costs, less the worth of the harvest it brings to all devices, (T,)."""
        second: np.ndarray = self.time - np.sum(self.carry[1:] * setting.harvest_w, axis=1)
        return second

    def lifted(self, setting: Setting, worth: float) -> "Prices":
        """The same with prices of time and energy at which each budget is worth at least that much.

        A price that is no finite number, as a solver may return, is none: bounds hold at any, but a NaN proves nothing.
        """
        seconds, joules = setting.pretrain_budgets
        time, energy, pretrain_time, pretrain_energy, carry, pay = (
            np.where(np.isfinite(price), price, 0.0) for price in self
        )
        return Prices(
            time=max(float(time), worth / setting.delay_s),
            energy=max(float(energy), worth / setting.energy_j),
            pretrain_time=max(float(pretrain_time), worth / seconds),
            pretrain_energy=max(float(pretrain_energy), worth / joules),
            carry=carry,
            pay=pay,
        )

    def beyond(self, first: int, last: int) -> "Prices":
        """Those of rounds `first` to `last` - 1 for others too, where a battery's charge is worth what it is in these.

        Before them what it is at their beginning, after them what it is in their mean.
        """
        if last - first < 2:
            return self
        carry = self.carry.copy()
        # In a battery that is full when the rounds begin, more charge has no price, but what it holds has.
        carry[: first + 1] = np.maximum(carry[first], carry[first + 1])
        carry[last:] = np.mean(carry[first:last], axis=0)
        return self._replace(carry=carry)

    def scaled(self, scale: float) -> "Prices":
        """All of them times a number."""
        prices: list[Any] = [scale * price for price in self]
        return Prices(*prices)

    def mixed(self, other: "Prices", share: float) -> "Prices":
        """These prices moved by a share of the way to others."""
        pairs: list[Any] = list(zip(self, other, strict=True))
        return Prices(*((1 - share) * mine + share * its for mine, its in pairs))


class RoundPlans(NamedTuple):
    """Ways to play rounds, one a row; n of them.

    Attributes:
        round_index: t, (n,).
        numerator: what it adds to the bound's numerator, (n,).
        weight: what it adds to the bound's denominator, (n,).
        duration_s: D, s, (n,).
        shared_j: what it takes of the energy budget besides the devices' energies, J, (n,).
        device_j: what each device spends, J, (n, K).
        roles: what each device does, whole numbers, (n, K): 0 for one that is silent, for others a number of the
            system's own, such as 1, or the code or the level at which it takes part.
    """

    round_index: np.ndarray
    numerator: np.ndarray
    weight: np.ndarray
    duration_s: np.ndarray
    shared_j: np.ndarray
    device_j: np.ndarray
    roles: np.ndarray

    @property
    def participates(self) -> np.ndarray:
        """Whose battery has to cover what it spends, (n, K)."""
        participates: np.ndarray = self.roles > 0
        return participates

    @classmethod
    def none(cls, num_devices: int) -> "RoundPlans":
        """No plans at all."""
        nothing = np.zeros(0)
        nobody = np.zeros((0, num_devices))
        return cls(nothing.astype(int), nothing, nothing, nothing, nothing, nobody, nobody.astype(int))


class AllowedSets(NamedTuple):
    """Which sets of devices may take part in each round: those that hold all who must and none who may not.

    Attributes:
        must, may: (T, K) booleans.
        lowest, highest: roles between which each device's lies if it takes part, a number or (T, K).
    """

    must: np.ndarray
    may: np.ndarray
    lowest: np.ndarray | float = 1.0
    highest: np.ndarray | float = np.inf

    @classmethod
    def all_of(cls, num_rounds: int, num_devices: int) -> "AllowedSets":
        """Every set, nobody included."""
        nobody = np.zeros((num_rounds, num_devices), dtype=bool)
        return cls(nobody, ~nobody)

    def allow(self, plans: RoundPlans) -> np.ndarray:
        """Which plans of rounds have such a set, (n,)."""
        must, may = self.must[plans.round_index], self.may[plans.round_index]
        low, high = (np.broadcast_to(end, self.must.shape)[plans.round_index] for end in (self.lowest, self.highest))
        within = (plans.roles >= low) & (plans.roles <= high)
        kept: np.ndarray = np.all((plans.participates | ~must) & ((may & within) | ~plans.participates), axis=1)
        return kept

    def decided(self, round_index: int, device: int, *, takes_part: bool) -> "AllowedSets":
        """The same with one device's part in one round decided."""
        changed = self._replace(must=self.must.copy(), may=self.may.copy())
        (changed.must if takes_part else changed.may)[round_index, device] = takes_part
        return changed

    def divided(self, round_index: int, device: int, role: int) -> list["AllowedSets"]:
        """The same in two parts, by whether one device's role in one round is at most that or above it."""
        low, high = (np.array(np.broadcast_to(end, self.must.shape)) for end in (self.lowest, self.highest))
        below, above = high.copy(), low.copy()
        below[round_index, device], above[round_index, device] = role, role + 1
        return [self._replace(lowest=low, highest=below), self._replace(lowest=above, highest=high)]


class PricedRounds(NamedTuple):
    """Least costs of all rounds of the tape at some prices.

    Attributes:
        least: no way to play round t costs less, terms of its batteries included, (T,).
        least_active: none in which somebody takes part does, (T,).
        plans: ways that come near to it, at least one for each round, the cheapest first.
    """

    least: np.ndarray
    least_active: np.ndarray
    plans: RoundPlans


class PretrainPlan(NamedTuple):
    """All pre-training rounds together: what they make of A and W, take of the budgets, and harvest, (K,)."""

    numerator: float
    weight: float
    duration_s: float
    energy_j: float
    harvested_j: np.ndarray


class Planned(NamedTuple):
    """A plan of whole episodes that a system has found.

    Attributes:
        value: its bound Phi.
        prices: of the constraints that it meets; None if there are none to tell.
        pretraining, rounds: what it does, one of `rounds` for each fine-tuning round.
        plan: the system's own record.
    """

    value: float
    prices: Prices | None
    pretraining: PretrainPlan
    rounds: RoundPlans
    plan: Any


class FirstGuess(NamedTuple):
    """Where a search begins: prices, a value that seems within reach, and numbers of rounds."""

    prices: Prices
    phi: float
    num_pretrain: int
    num_finetune: int


@runtime_checkable
class PricedSystem(Protocol):
    """What a system has to provide: M pre-training rounds, then fine-tuning rounds M to e - 1 of the tape.

    Its bound is a quotient A / W. That none of its plans is below phi is that none has A - phi W below 0.
    """

    @property
    def setting(self) -> Setting:
        """What couples the rounds."""

    @property
    def sets(self) -> AllowedSets:
        """Who may take part."""

    @property
    def has_levels(self) -> bool:
        """Whether roles are levels, which rise with what a device does, so that a device's may be kept between two."""

    def rounds(self, prices: Prices, phi: float, tolerance: float, sets: AllowedSets) -> PricedRounds:
        """Least cost of A - phi W at those prices in each fine-tuning round; plans cheaper than that plus tolerance.

        `sets` are some of those that may take part.
        """

    def idle_rounds(self) -> RoundPlans:
        """Each round as it is when nobody takes part; none at all where somebody has to."""

    def pretraining(self, prices: Prices, phi: float) -> np.ndarray:
        """Least A - phi W at those prices of M pre-training rounds and of the charge that follows them, (T + 1,).

        The fixed part of A and W included.
        """

    def pretraining_alone(self, phi: float) -> np.ndarray:
        """What is to be added to that where no fine-tuning follows, (T + 1,)."""

    def pretraining_plan(self, prices: Prices, num_rounds: int) -> PretrainPlan:
        """The plan of M pre-training rounds that costs least at those prices."""

    @property
    def round_weight(self) -> float:
        """The most that a fine-tuning round can add to W."""

    def first_guess(self) -> "FirstGuess":
        """Where to begin."""

    def nothing(self) -> Planned:
        """The plan of no rounds."""

    def planned(self, num_pretrain: int, roles: np.ndarray) -> Planned | None:
        """The best plan with M pre-training rounds and these roles in the rounds that follow, (N, K), if any."""

    def overdrawn(self, num_pretrain: int, roles: np.ndarray) -> Prices | None:
        """Where there is no such plan: prices at which overdrawing budgets and batteries for one costs too much."""
