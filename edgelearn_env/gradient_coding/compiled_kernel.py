"""The model with codes whose episodes are played from a list of its operations: the same numbers, sooner."""

from edgelearn_env.gradient_coding.model import GradientCodingModel
from edgelearn_env.traced_episodes import TracedEpisodes


class CompiledModel(GradientCodingModel):
    """`GradientCodingModel` with episodes that are traced, and played by compiled loops."""

    def episodes(self, num_episodes: int) -> TracedEpisodes:
        """B episodes to be played in lockstep."""
        return TracedEpisodes(self, num_episodes)
