"""Other faces of the same environment, for algorithms that ask for them; each for one episode and for many at once."""

from edgelearn_env.wrappers.multi_discrete import MultiDiscreteActions, VectorMultiDiscreteActions
from edgelearn_env.wrappers.soft_budgets import SoftBudgets, VectorSoftBudgets

__all__ = ["MultiDiscreteActions", "SoftBudgets", "VectorMultiDiscreteActions", "VectorSoftBudgets"]
