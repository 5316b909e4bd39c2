"""Selection without knowing the cluster: means are estimated from the iterations that have been."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.gradient_coding.run_time.jncss import Choice, jncss
from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.times import MeanTimes, Times, sampled_times


class RunningMeans(NamedTuple):
    """Means of all iterations so far, each with the same weight.

    Every node says how long it took, latecomers included, when its work and its links are done.

    Attributes:
        num_seen: iterations so far.
        means: zero before the first.
    """

    num_seen: int
    means: MeanTimes

    @classmethod
    def before_any(cls, cluster: Cluster) -> Self:
        """Nothing seen yet of a cluster of that size; `jncss` then chooses no code."""
        groups = np.zeros((cluster.num_edges, cluster.devices_per_edge))
        return cls(0, MeanTimes(cluster.num_parts, groups, groups, groups[:, 0]))

    def after(self, times: Times, load_parts: float) -> Self:
        """With what each node took in iterations more.

        Args:
            times: of B iterations.
            load_parts: D, parts that each device computed in them.
        """
        num_seen = self.num_seen + len(times.edge_link_s)

        def mean(so_far: np.ndarray, seen: np.ndarray) -> np.ndarray:
            mean: np.ndarray = so_far + np.sum(seen - so_far, axis=0) / num_seen
            return mean

        means = MeanTimes(
            num_parts=self.means.num_parts,
            part_s=mean(self.means.part_s, times.compute_s / load_parts),
            device_link_s=mean(self.means.device_link_s, times.device_link_s),
            edge_link_s=mean(self.means.edge_link_s, times.edge_link_s),
        )
        return self._replace(num_seen=num_seen, means=means)


def jncss_on_the_run(cluster: Cluster, num_iterations: int, rng: np.random.Generator) -> list[Choice]:
    """The codes that `jncss` chooses from running means, iteration by iteration, and how long each really took.

    Args:
        cluster: which is drawn from, and not looked at.
        num_iterations: to play.
        rng: numbers come from here.
    """
    seen, played = RunningMeans.before_any(cluster), []
    for _ in range(num_iterations):
        code = jncss(seen.means).code
        load_parts = code.load_parts(cluster)
        times = sampled_times(cluster, load_parts, 1, rng)
        played.append(Choice(code, float(code.iteration_s(times)[0])))
        seen = seen.after(times, load_parts)
    return played
