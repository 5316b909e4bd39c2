"""What is observed by a policy that knows which net it will go on with."""

from edgelearn_env.model import Observed


def with_net(observed: Observed, place: int) -> Observed:
    """The same with the learning bound of one net, by the place of its depth, before the switch too."""
    state = observed.state
    terms = state.bound_terms._replace(pretrain_term=state.pretrain_terms[:, place])
    return observed._replace(state=state._replace(bound_terms=terms))
