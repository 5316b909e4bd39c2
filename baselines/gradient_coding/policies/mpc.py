"""Model-predictive control of coded rounds: plan the rest of the episode in the mean, play a round, plan again."""

from typing import Self
