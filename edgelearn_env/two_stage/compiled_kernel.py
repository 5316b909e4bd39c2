"""The two-stage model whose episodes are played by compiled loops: the same numbers to the last bit, sooner."""

from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.compiled_episodes import CompiledEpisodes


class CompiledModel(ArrayModel):
    """`ArrayModel` with episodes that numba compiles at their first round, and keeps on disk for later processes."""

    def episodes(self, num_episodes: int) -> CompiledEpisodes:
        """B episodes to be played in lockstep."""
        return CompiledEpisodes(self, num_episodes)
