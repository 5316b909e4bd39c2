"""The two-stage model as solvers read it: episodes to plan, closed forms, plans to play."""
