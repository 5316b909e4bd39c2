"""PPO from TorchRL's parts, on the native vector environment.

    python -m edgelearn_env.agents.torchrl_ppo --scenario tiny --steps 100000

`GymEnv(id, num_envs=...)` would start a process for each environment. `GymWrapper` around `make_vec` steps them all at
once; with autoreset disabled TorchRL resets by a mask those that have ended, as it does with environments of its own.
Within 100,000 steps on the tests' scenario of three devices, the mean learning bound falls to less than a third.
"""

from collections.abc import Iterator
from pathlib import Path

import gymnasium
from gymnasium.vector import AutoresetMode

from edgelearn_env.agents.runs.one_file import (
    Choices,
    CurvePoint,
    EpisodeLog,
    NumEnvs,
    OnProgress,
    Out,
    Result,
    ScenarioName,
    Seed,
    Steps,
    command,
    missing,
    run,
    write_report,
)
from edgelearn_env.files import written_atomically

try:
    import torch
    from tensordict import TensorDict
    from tensordict.nn import AddStateIndependentNormalScale, TensorDictModule
    from torch import nn
    from torchrl.collectors import Collector
    from torchrl.data import Unbounded
    from torchrl.envs import Compose, EnvBase, ObservationNorm, RewardSum, TransformedEnv
    from torchrl.envs.gym_like import default_info_dict_reader
    from torchrl.envs.libs.gym import GymWrapper
    from torchrl.modules import MLP, IndependentNormal, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE
except ImportError as error:
    raise missing(__name__, "TorchRL", "torchrl") from error

ROLLOUT_STEPS, EPOCHS, MINIBATCHES = 64, 4, 8
LEARNING_RATE, MAX_GRADIENT_NORM = 3e-3, 0.5
DISCOUNT, GAE_LAMBDA = 1.0, 0.95  # the return of a finite episode needs no discount
CLIP_RANGE, VALUE_WEIGHT = 0.2, 0.5
HIDDEN = 64
# Actions reach from -1 to 1. With the usual 0 most of them would be cut off there, and waste the energy budget.
LOG_SCALE = -1.0


def train(choices: Choices, folder: Path, on_progress: OnProgress = lambda progress: None) -> Result:
    """Train, and write the weights and a report to `folder`. Seeds the global generator of torch."""
    torch.manual_seed(choices.seed)
    envs = environment(choices)
    networks = nn.ModuleDict({"actor": _actor(envs), "critic": _critic(envs)})
    curve = []
    for progress in _learning(networks, envs, choices):
        curve.append(progress)
        on_progress(progress)
    with written_atomically(folder / "agent.pt") as path:
        torch.save(networks.state_dict(), path)
    write_report(folder, choices, curve, "torchrl", "tensordict")
    return Result(folder / "agent.pt", tuple(curve))


def environment(choices: Choices) -> EnvBase:
    """The native vector environment as TorchRL takes it; "objective" and "episode_reward" come with each step."""
    envs = gymnasium.make_vec(
        choices.loaded_scenario.environment,
        num_envs=choices.num_envs,
        scenario=choices.loaded_scenario,
        autoreset_mode=AutoresetMode.DISABLED,
    )
    objective = Unbounded((choices.num_envs,), dtype=torch.float64)
    wrapped = GymWrapper(envs).set_info_dict_reader(default_info_dict_reader(["objective"], [objective]))
    # Observations reach from 0 to 1; networks like them centred.
    centred = ObservationNorm(loc=-1.0, scale=2.0, in_keys=["observation"])
    transformed = TransformedEnv(wrapped, Compose(centred, RewardSum()))
    transformed.set_seed(choices.seed)
    return transformed


def _learning(networks: nn.ModuleDict, envs: EnvBase, choices: Choices) -> Iterator[CurvePoint]:
    """Collect, update, and so on; yields after each update."""
    actor, critic = networks["actor"], networks["critic"]
    steps = ROLLOUT_STEPS * choices.num_envs
    num_updates = -(-choices.total_steps // steps)
    collector = Collector(
        envs,
        actor,
        frames_per_batch=steps,
        total_frames=num_updates * steps,
        auto_register_policy_transforms=False,  # there is no recurrent network, which alone needs some
    )
    advantage = GAE(gamma=DISCOUNT, lmbda=GAE_LAMBDA, value_network=critic)
    loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=CLIP_RANGE,
        critic_coeff=VALUE_WEIGHT,
        loss_critic_type="l2",
        entropy_bonus=False,
        normalize_advantage=True,
    )
    optimizer = torch.optim.Adam(loss.parameters(), lr=LEARNING_RATE, eps=1e-5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, num_updates)
    episodes = EpisodeLog()
    for update, rollout in enumerate(collector, start=1):
        _update(loss, optimizer, advantage, rollout)
        schedule.step()
        last = rollout["next"][rollout["next", "done"].squeeze(-1)]
        episodes.add(last["episode_reward"].flatten().tolist(), last["objective"].tolist())
        yield episodes.progress(update * steps)
    collector.shutdown()


def _update(loss: ClipPPOLoss, optimizer: torch.optim.Optimizer, advantage: GAE, rollout: TensorDict) -> None:
    """A few passes over a rollout, in minibatches."""
    with torch.no_grad():
        advantage(rollout)
    flat = rollout.reshape(-1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(flat)).chunk(MINIBATCHES):
            losses = loss(flat[rows])
            optimizer.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"]).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()


def _actor(envs: EnvBase) -> ProbabilisticActor:
    """A Gaussian policy whose scale does not depend on what is observed."""
    num_actions = envs.action_spec.shape[-1]
    mean = MLP(in_features=_num_observations(envs), out_features=num_actions, num_cells=[HIDDEN, HIDDEN])
    nn.init.orthogonal_(mean[-1].weight, 0.01)
    nn.init.zeros_(mean[-1].bias)
    scale = AddStateIndependentNormalScale(num_actions, init_value=LOG_SCALE)
    return ProbabilisticActor(
        TensorDictModule(nn.Sequential(mean, scale), in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=IndependentNormal,
        return_log_prob=True,
    )


def _critic(envs: EnvBase) -> ValueOperator:
    """Return to expect."""
    return ValueOperator(MLP(in_features=_num_observations(envs), out_features=1, num_cells=[HIDDEN, HIDDEN]))


def _num_observations(envs: EnvBase) -> int:
    size: int = envs.observation_spec["observation"].shape[-1]
    return size


def main(
    scenario: ScenarioName = "default",
    steps: Steps = 200_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 32,
    out: Out = Path("runs/torchrl-ppo"),
) -> None:
    """Train an agent with TorchRL's PPO, on the native vector environment."""
    run(train, Choices(scenario=scenario, total_steps=steps, seed=seed, num_envs=num_envs), out)


if __name__ == "__main__":
    command(main, "Train an agent with TorchRL's PPO, on the native vector environment.")
