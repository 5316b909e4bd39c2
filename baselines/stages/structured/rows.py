"""The constraints of an episode's program, one after another: their values, changes, and what multipliers pull."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.structured.numbers import Numbers
from edgelearn_env.baselines.stages.structured.point import Point, Slopes


class Rows(NamedTuple):
    """Constraints g(x) >= 0, by name and place: first those that couple variables, then limits of each.

    finish: D + late - c t - y b - u;  pay: battery - e;  store: battery + h D - e - next battery;
    start: initial + harvest - first battery;  delay, energy: what is left of the budgets;
    fastest, slowest, upload, least, most: of t, u and b;  empty, full: of batteries;  the same of the server.

    Attributes:
        numbers: of the program.
        places: of each name in a vector of all rows.
        num_couplings: how many couple variables, the first ones: these may be violated on the way.
    """

    numbers: Numbers
    places: dict[str, slice]
    num_couplings: int

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        """Those of a program."""
        count, rounds, (num_rounds, num_devices) = len(numbers.device), len(numbers.server.cone), numbers.stored.shape
        couplings = {
            "finish": count,
            "pay": count,
            "store": (num_rounds - 1) * num_devices,
            "delay": 1,
            "energy": 1,
            "start": num_devices,
        }
        limits = {
            **dict.fromkeys(("fastest", "slowest", "upload"), count),
            **dict.fromkeys(("empty", "full"), num_rounds * num_devices),
            **dict.fromkeys(("server_fastest", "server_slowest"), rounds),
        }
        if not numbers.is_fixed:
            limits |= dict.fromkeys(("least", "most"), count) | dict.fromkeys(("server_least", "server_most"), rounds)
        ends = np.cumsum([0, *couplings.values(), *limits.values()]).tolist()
        names = (*couplings, *limits)
        places = {name: slice(first, last) for name, first, last in zip(names, ends[:-1], ends[1:], strict=True)}
        return cls(numbers, places, ends[len(couplings)])

    @property
    def border(self) -> slice:
        """Those that concern all rounds: delay, energy, start."""
        return slice(self.places["delay"].start, self.places["start"].stop)

    @property
    def num_border(self) -> int:
        """How many."""
        return int(self.border.stop - self.border.start)

    def split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Values of all rows, by name."""
        return {name: values[place] for name, place in self.places.items()}

    def values(self, point: Point, slopes: Slopes) -> np.ndarray:
        """g(x)."""
        n = self.numbers
        constant = {
            "finish": n.late,
            "start": n.start,
            "store": n.stored_anyway[:-1].ravel(),
            "full": n.capacity.ravel(),
            "upload": -n.least_upload,
            # Of batches and clocks that leave no choice both are loose.
            "least": ~n.devices.varies - n.devices.least,
            "most": ~n.devices.varies + n.devices.most,
            "server_least": ~n.server.varies - n.server.least,
            "server_most": ~n.server.varies + n.server.most,
            **dict.fromkeys(("fastest", "slowest"), n.devices.follows > 0),
            **dict.fromkeys(("server_fastest", "server_slowest"), n.server.follows > 0),
        }
        values = self._linear(point, slopes.joule, slopes.server_joule)
        for name, number in constant.items():
            values[name] = values[name] + number
        return self._joined(values)

    def along(self, point: Point, slopes: Slopes, step: Point) -> np.ndarray:
        """J dx."""
        energy = sum(slope * change for slope, change in zip(slopes.energy, step[:3], strict=True))
        server = np.sum(slopes.server_energy * np.stack(step[5:7]), axis=0)
        return self._joined(self._linear(step, energy, server))

    def pulled(self, point: Point, slopes: Slopes, weight: np.ndarray) -> Point:
        """J^T w; what batches or times pull that leave no choice counts with what they follow, or not at all."""
        n, w = self.numbers, self.split(weight)
        shape, place = n.stored.shape, (n.round_index, n.device)
        store = of_all_rounds(w["store"], shape)
        joule = n.pay * w["pay"] + n.spend * store[place] + n.use * w["energy"]
        by_batch, by_seconds, by_upload = (-joule * slope for slope in slopes.energy)
        devices, server = n.devices, n.server
        batch = by_batch - n.stall * w["finish"] - devices.fastest * w["fastest"] + devices.slowest * w["slowest"]
        joules = n.server_joule_use * w["energy"]
        server_batch, server_s = -joules * slopes.server_energy
        server_batch = server_batch - server.fastest * w["server_fastest"] + server.slowest * w["server_slowest"]
        if "least" in w:
            batch = batch + w["least"] - w["most"]
            server_batch = server_batch + w["server_least"] - w["server_most"]
        duration = np.bincount(n.round_index, weights=w["finish"], minlength=shape[0])
        duration = duration + np.sum(store * n.stored, axis=1) - n.duration_use * w["delay"]
        battery = store + (w["empty"] - w["full"]).reshape(shape)
        battery[place] += w["pay"]
        battery[1:] -= store[:-1]
        battery[0] -= w["start"]
        seconds = by_seconds - n.busy * w["finish"] + w["fastest"] - w["slowest"]
        server_s = (
            server_s
            - n.server_second_use * w["delay"]
            + w["start"] @ n.server_harvest
            + w["server_fastest"]
            - w["server_slowest"]
        )
        return Point(
            batch=(batch + devices.follows * seconds) * devices.varies,
            seconds=seconds * (devices.follows == 0),
            upload=by_upload - w["finish"] + w["upload"],
            duration=np.where(n.is_idle, 0.0, duration),
            battery=battery,
            server_batch=(server_batch + server.follows * server_s) * server.varies,
            server_s=server_s * (server.follows == 0),
            share=float(n.delay * w["delay"][0] + n.energy * w["energy"][0]),
        )

    def _linear(self, x: Point, energy: np.ndarray, server_energy: np.ndarray) -> dict[str, np.ndarray]:
        """The rows without what is constant in them, of variables or changes of them, and of the energies' likewise."""
        n, place = self.numbers, (self.numbers.round_index, self.numbers.device)
        spent = np.zeros(n.stored.shape)
        spent[place] = n.spend * energy
        left = x.battery + n.stored * x.duration[:, None] - spent
        devices, server = n.devices, n.server
        used_s = n.duration_use @ x.duration + n.server_second_use @ x.server_s
        used_j = n.use @ energy + n.server_joule_use @ server_energy
        return {
            "finish": x.duration[n.round_index] - n.busy * x.seconds - n.stall * x.batch - x.upload,
            "pay": x.battery[place] - n.pay * energy,
            "store": (left[:-1] - x.battery[1:]).ravel(),
            "delay": np.array([x.share * n.delay - used_s]),
            "energy": np.array([x.share * n.energy - used_j]),
            "start": n.server_harvest @ x.server_s - x.battery[0],
            "fastest": x.seconds - devices.fastest * x.batch,
            "slowest": devices.slowest * x.batch - x.seconds,
            "upload": x.upload,
            "empty": x.battery.ravel(),
            "full": -x.battery.ravel(),
            "server_fastest": x.server_s - server.fastest * x.server_batch,
            "server_slowest": server.slowest * x.server_batch - x.server_s,
            "least": x.batch,
            "most": -x.batch,
            "server_least": x.server_batch,
            "server_most": -x.server_batch,
        }

    def _joined(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """One after another."""
        return np.concatenate([values[name] for name in self.places])


def of_all_rounds(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values of all rounds but the last, (N - 1) K of them, as (N, K) with zeros for that."""
    made = np.zeros(shape)
    made[:-1] = values.reshape(shape[0] - 1, shape[1])
    return made
