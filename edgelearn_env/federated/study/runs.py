"""One run of the study: its schedule with the simulator's clock and meters, its training, and what came of it."""

from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.federated.checkpoints import digest
from edgelearn_env.federated.evaluation import Evaluation, evaluated
from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.study.bench import Bench
from edgelearn_env.federated.study.plan import StudyPlan
from edgelearn_env.federated.study.variants import GROUPS, Variant, group_of, window_of
from edgelearn_env.federated.training import Training, frozen_prefix_of, played_rounds
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.schedule import DeviceTurn, Schedule, ScheduledRound

# A device of the default preset: 4 FLOP a cycle at 1 GHz, 0.1 W over 1 MHz at 120 m.
_FLOPS_PER_CYCLE, _FREQ_HZ, _CAPACITANCE = 4.0, 1e9, 1e-27
_POWER_W, _GAIN, _BANDWIDTH_HZ, _NOISE_W_PER_HZ = 0.1, 1e-3 * 120.0**-3, 1e6, 10**-16.9 * 1e-3


class RunKey(NamedTuple):
    """What names a run.

    Attributes:
        part: of the study: "equal", "unequal" or "gap".
        data: name of the data.
        variant: name of the variant.
        seed: of pre-training, cohorts and draws.
        step_size: eta.
    """

    part: str
    data: str
    variant: str
    seed: int
    step_size: float


class Run(NamedTuple):
    """What came of a run; of text in bits a character, of images in bits an image.

    Attributes:
        part, data, variant, seed, step_size: as in `RunKey`.
        depth: l.
        validation_bits: on the devices' validation samples.
        test_bits: on their test samples.
        accuracy: on the latter, mean over devices.
        weak_accuracy, medium_accuracy, strong_accuracy: mean over a group's devices.
        worst_accuracy: mean over the tenth of the devices that have the lowest.
        elapsed_s, spent_j: the simulator's clock and meters at the end.
        uploaded_bytes: by all devices, counted.
        peak_bytes: memory of the device that needs most.
        step_flops: of a local step, of the device that does most.
        device_upload_bytes: of an upload, of the device that sends most.
        cpu_s: of all local steps, measured.
        digest: of the final weights.
    """

    part: str
    data: str
    variant: str
    seed: int
    step_size: float
    depth: int
    validation_bits: float
    test_bits: float
    accuracy: float
    weak_accuracy: float
    medium_accuracy: float
    strong_accuracy: float
    worst_accuracy: float
    elapsed_s: float
    spent_j: float
    uploaded_bytes: int
    peak_bytes: float
    step_flops: float
    device_upload_bytes: float
    cpu_s: float
    digest: str

    @property
    def key(self) -> RunKey:
        """What names it."""
        return RunKey(*self[:5])


def study_schedule(variant: Variant, net: Net, num_devices: int, plan: StudyPlan, seed: int) -> Schedule:
    """Rounds of a random cohort, the same for all variants; those who cannot take part are left out.

    A round lasts as long as its slowest device computes and uploads; all are devices of the default preset.
    """
    rounds, elapsed_s, spent_j = list[ScheduledRound](), 0.0, 0.0
    for index in range(plan.rounds):
        rng = np.random.default_rng((seed, index, 5))
        cohort = np.sort(rng.choice(num_devices, min(plan.cohort, num_devices), replace=False)).tolist()
        windows = {k: window_of(variant, k, num_devices, np.random.default_rng((seed, index, k, 6))) for k in cohort}
        able = {k: window for k, window in windows.items() if window is not None}
        turns = tuple(DeviceTurn(k, plan.batch, 1 / len(cohort), window) for k, window in able.items())
        seconds, joules = (
            zip(*(_meters(variant, net, turn, plan) for turn in turns), strict=True) if turns else ((), ())
        )
        elapsed_s, spent_j = elapsed_s + max(seconds, default=1.0), spent_j + sum(joules)
        rounds.append(ScheduledRound(0, turns, elapsed_s, spent_j))
    return Schedule(name=variant.name, rounds=tuple(rounds))


def study_run(bench: Bench, variant: Variant, plan: StudyPlan, part: str, seed: int, step_size: float) -> Run:
    """Fine-tune the bench's net as a variant does, and test it."""
    weights = variant.scheme.prepared(bench.weights, bench.net)
    training = Training(
        net=bench.net,
        samples=bench.samples,
        schedule=study_schedule(variant, bench.net, bench.samples.num_devices, plan, seed),
        scheme=variant.scheme,
        device_step_size=step_size,
        local_steps=plan.local_steps,
        seed=seed,
    )
    prefix, logs = frozen_prefix_of(training, weights, bench.streams), []
    for played in played_rounds(training, weights, prefix=prefix):
        weights = played.weights
        logs.append(played.log)
    validation, test = (
        evaluated(weights, bench.net, bench.samples, of, plan.tested, prefix) for of in ("validation", "test")
    )
    turns = {turn for each in training.schedule.rounds for turn in each.turns}
    costs = [variant.scheme.costs(bench.net, turn) for turn in turns]
    return Run(
        *RunKey(part, bench.data, variant.name, seed, step_size),
        depth=bench.net.depth,
        validation_bits=validation.bits,
        **_results(test),
        elapsed_s=logs[-1].elapsed_s,
        spent_j=logs[-1].spent_j,
        uploaded_bytes=sum(log.uploaded_bytes for log in logs),
        peak_bytes=float(max(each.peak_bytes for each in costs)),
        step_flops=float(max(each.flops for each in costs)),
        device_upload_bytes=float(max(each.upload_bytes for each in costs)),
        cpu_s=sum(log.cpu_s for log in logs),
        digest=digest(weights),
    )


def before_finetuning(bench: Bench, plan: StudyPlan, key: RunKey) -> Run:
    """The pre-trained net as it is, as a run of no rounds of that name."""
    validation, test = (
        evaluated(bench.weights, bench.net, bench.samples, of, plan.tested) for of in ("validation", "test")
    )
    return Run(
        *key,
        depth=bench.net.depth,
        validation_bits=validation.bits,
        **_results(test),
        elapsed_s=0.0,
        spent_j=0.0,
        uploaded_bytes=0,
        peak_bytes=0.0,
        step_flops=0.0,
        device_upload_bytes=0.0,
        cpu_s=0.0,
        digest=digest(bench.weights),
    )


def _results(test: Evaluation) -> dict[str, Any]:
    groups = np.array([group_of(k, len(test.accuracy)) for k in range(len(test.accuracy))])
    by_group = {f"{name}_accuracy": float(test.accuracy[groups == index].mean()) for index, name in enumerate(GROUPS)}
    worst = np.sort(test.accuracy)[: max(1, len(groups) // 10)]
    whole = {"test_bits": test.bits, "accuracy": float(test.accuracy.mean()), "worst_accuracy": float(worst.mean())}
    return whole | by_group


def _meters(variant: Variant, net: Net, turn: DeviceTurn, plan: StudyPlan) -> tuple[float, float]:
    """Seconds and joules of a device's turn."""
    costs = variant.scheme.costs(net, turn)
    cycles = plan.local_steps * costs.flops / _FLOPS_PER_CYCLE
    rate_bps = uplink_rate_bps(np.float64(_POWER_W), np.float64(_GAIN), np.float64(_BANDWIDTH_HZ), _NOISE_W_PER_HZ)
    upload_s = float(upload_time_s(8 * costs.upload_bytes, rate_bps))
    compute_j = float(compute_energy_j(_CAPACITANCE, cycles, 1.0, _FREQ_HZ))
    return float(compute_time_s(cycles, 1.0, _FREQ_HZ)) + upload_s, compute_j + _POWER_W * upload_s
