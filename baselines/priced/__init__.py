"""Optima of episodes whose rounds are coupled by budgets and batteries alone: price these, and minimise round by round.

Nothing here knows a system. One provides the least cost of its rounds at given prices, and the plans that have it
(`records.PricedSystem`); from that follow lower bounds for all numbers of rounds at once (`bounds`), better prices
(`master`), and the search for a plan with a proof (`search`).
"""
