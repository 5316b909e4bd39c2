"""Where the structured solver stands, and how energies change there."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.structured.numbers import Computing, Numbers

# Where times begin, in the program's units: computing, if that is so far within its limits, and uploads, at least.
_FIRST_SECONDS, _FIRST_SERVER_SECONDS, _FIRST_UPLOAD, _BETWEEN = 0.3, 0.5, 0.5, 0.05


class Point(NamedTuple):
    """All variables of a program, or changes of them, or what something changes by.

    Attributes:
        batch, seconds, upload: b, t and u of those who take part, (C,).
        duration: D, (N,).
        battery: charges before each round, (N, K).
        server_batch, server_s: of pre-training, (M,).
        share: of the budgets that may be used.
    """

    batch: np.ndarray
    seconds: np.ndarray
    upload: np.ndarray
    duration: np.ndarray
    battery: np.ndarray
    server_batch: np.ndarray
    server_s: np.ndarray
    share: float

    @classmethod
    def first(cls, numbers: Numbers) -> Self:
        """Within the limits of each variable, not of what couples them."""
        batch, seconds = _first_computing(numbers.devices, _FIRST_SECONDS / numbers.busy)
        server_batch, server_s = _first_computing(
            numbers.server, np.full(numbers.server.cone.shape, _FIRST_SERVER_SECONDS)
        )
        upload = np.maximum(2 * numbers.least_upload, _FIRST_UPLOAD)
        finish = numbers.busy * seconds + numbers.stall * batch + upload - numbers.late
        duration = np.zeros(len(numbers.duration_use))
        np.maximum.at(duration, numbers.round_index, finish)
        duration = np.where(numbers.is_idle, numbers.idle_s, 1.05 * duration + 0.05)
        return cls(batch, seconds, upload, duration, 0.5 * numbers.capacity, server_batch, server_s, 1.0)

    def moved(self, step: "Point", length: float) -> "Point":
        """So far along a step."""
        pairs: Iterable[tuple[Any, Any]] = zip(self, step, strict=True)
        return Point(*(here + length * change for here, change in pairs))

    def __sub__(self, other: "Point") -> "Point":
        pairs: Iterable[tuple[Any, Any]] = zip(self, other, strict=True)
        return Point(*(one - another for one, another in pairs))

    def largest(self) -> float:
        """The largest of all, without signs."""
        return float(np.max([np.max(np.abs(part), initial=0.0) for part in self]))

    def gradient(self, numbers: Numbers, *, thrifty: bool) -> "Point":
        """That of sum d / b, or of the share, by what leaves a choice."""
        nothing = np.zeros(self.seconds.shape)
        return Point(
            batch=numbers.devices.varies * -numbers.devices.noise / self.batch**2,
            seconds=nothing,
            upload=nothing,
            duration=np.zeros(self.duration.shape),
            battery=np.zeros(self.battery.shape),
            server_batch=numbers.server.varies * -numbers.server.noise / self.server_batch**2,
            server_s=np.zeros(self.server_s.shape),
            share=float(thrifty),
        )

    def slopes(self, numbers: Numbers) -> "Slopes":
        """Energies here, and their derivatives."""
        compute, nats = numbers.devices.energy(self.batch, self.seconds), numbers.nats / self.upload
        # e^x - 1 to all digits: of faint uploads x is small.
        power = np.expm1(nats)
        server = numbers.server.energy(self.server_batch, self.server_s)
        return Slopes(
            joule=compute + numbers.noise_w * self.upload * power,
            compute=compute,
            nats=nats,
            power=power,
            energy=[
                3 * compute / self.batch,
                -2 * compute / self.seconds,
                numbers.noise_w * (power - nats - nats * power),
            ],
            server_joule=server,
            server_energy=np.stack([3 * server / self.server_batch, -2 * server / self.server_s]),
        )


class Slopes(NamedTuple):
    """Energies at a point, and how they change.

    Attributes:
        joule: e, (C,); compute: its part for computing; nats: q / u; power: e^(q / u) - 1.
        energy: derivatives of e by b, t and u.
        server_joule: (M,); server_energy: its derivatives by b and t, (2, M).
    """

    joule: np.ndarray
    compute: np.ndarray
    nats: np.ndarray
    power: np.ndarray
    energy: list[np.ndarray]
    server_joule: np.ndarray
    server_energy: np.ndarray

    def curvature(self, numbers: Numbers, point: Point, joule: np.ndarray) -> list[np.ndarray]:
        """Second derivatives of noise and of energies at that price: b b, b t, t t, u u."""
        noise = 2 * numbers.devices.noise / point.batch**3
        cost = 6 * joule * self.compute
        upload = joule * numbers.noise_w * self.nats**2 * (self.power + 1) / point.upload
        return [
            noise + cost / point.batch**2,
            -cost / (point.batch * point.seconds),
            cost / point.seconds**2,
            upload,
        ]

    def server_curvature(self, numbers: Numbers, point: Point, joule: np.ndarray) -> list[np.ndarray]:
        """The same of the server: b b, b t, t t."""
        noise = 2 * numbers.server.noise / point.server_batch**3
        cost = 6 * joule * self.server_joule
        batch, seconds = point.server_batch, point.server_s
        return [noise + cost / batch**2, -cost / (batch * seconds), cost / seconds**2]


def _first_computing(of: Computing, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Batches and times, well within their limits; about as long as said."""
    batch = np.where(
        of.most > of.least, np.minimum(np.maximum(1.0, 1.2 * of.least), (of.least + of.most) / 2), of.least
    )
    fastest, slowest = of.fastest * batch, of.slowest * batch
    margin = _BETWEEN * (slowest - fastest)
    return batch, np.clip(seconds, fastest + margin, slowest - margin)
