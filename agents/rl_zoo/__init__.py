"""Hyperparameters for the RL Zoo of Stable-Baselines3, a module for each algorithm, as the Zoo reads one at a time.

    python -m rl_zoo3.train --algo ppo --env EdgeLearn/TwoStage-v0 --gym-packages edgelearn_env \\
        --conf-file edgelearn_env.agents.rl_zoo.ppo --seed 0

Another scenario: `--env-kwargs "scenario:'tiny'"`. With each of them the return rises within 20,000 steps on the tests'
scenario of three devices; none is tuned. Without a seed the Zoo draws one, which may be of tapes that agents are judged
on: give one below a million.
"""
