"""Proven optima, designs and policies that need no learning; what is named here loads when it is first asked for."""

from typing import TYPE_CHECKING

from edgelearn_env.faces import lazy_face

if TYPE_CHECKING:
    from edgelearn_env.baselines.clairvoyance import clairvoyant, clairvoyant_batch
    from edgelearn_env.baselines.ladder import ladder_of
    from edgelearn_env.baselines.optimum import Certificate, Optimum
    from edgelearn_env.baselines.optimum_cache import cached_optima
    from edgelearn_env.baselines.random_play import RandomPlay
    from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
    from edgelearn_env.baselines.stages.policies.myopic import Myopic
    from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
    from edgelearn_env.baselines.two_stage.ablations.search import ablated_design, ablated_optimum
    from edgelearn_env.baselines.two_stage.ladder import LADDER
    from edgelearn_env.baselines.two_stage.policies.equal_split import EqualSplit
    from edgelearn_env.baselines.two_stage.policies.fixed_plan import fixed_plan
    from edgelearn_env.baselines.two_stage.policies.mpc import MPC
    from edgelearn_env.baselines.two_stage.static.design import static_design
    from edgelearn_env.baselines.two_stage.static.sca_design import sca_design

__all__ = [
    "ABLATIONS",
    "LADDER",
    "MPC",
    "Certificate",
    "EqualSplit",
    "Lyapunov",
    "Myopic",
    "Optimum",
    "RandomPlay",
    "ablated_design",
    "ablated_optimum",
    "cached_optima",
    "clairvoyant",
    "clairvoyant_batch",
    "fixed_plan",
    "ladder_of",
    "sca_design",
    "static_design",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "ABLATIONS": ".two_stage.ablations.problems",
        "LADDER": ".two_stage.ladder",
        "MPC": ".two_stage.policies.mpc",
        "Certificate": ".optimum",
        "EqualSplit": ".two_stage.policies.equal_split",
        "Lyapunov": ".stages.policies.lyapunov",
        "Myopic": ".stages.policies.myopic",
        "Optimum": ".optimum",
        "RandomPlay": ".random_play",
        "ablated_design": ".two_stage.ablations.search",
        "ablated_optimum": ".two_stage.ablations.search",
        "cached_optima": ".optimum_cache",
        "clairvoyant": ".clairvoyance",
        "clairvoyant_batch": ".clairvoyance",
        "fixed_plan": ".two_stage.policies.fixed_plan",
        "ladder_of": ".ladder",
        "sca_design": ".two_stage.static.sca_design",
        "static_design": ".two_stage.static.design",
    },
)
