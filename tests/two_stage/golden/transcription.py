"""The model once more, as a reader of its mathematics would type it in: scalars, loops and `math`, nothing shared.

One episode. Symbols are those of the mathematics: M and N rounds, K devices; a cycles for a sample, b batch, f clock
frequency, kappa capacitance, p transmit power, u upload time, e energy, h harvest, D duration, S who takes part,
Omega their weight. This file must never import the package that it checks.
"""

import math


def episode(system, gains, harvests, allocations):
    """Play the allocations, round by round, until the episode ends or they run out.

    Args:
        system: nested tables named as in a scenario file; per-device values are one number or a list.
        gains: g[t][k].
        harvests: h[t][k].
        allocations: one table a round: switch, server_freq_hz, server_batch, and lists freq_hz, power_w, batch.

    Returns:
        A table a round, with the keys that `_round` returns.
    """
    K = system["devices"]["num_devices"]
    state = {
        "tuning": False,
        "elapsed": 0.0,
        "spent": 0.0,
        "battery": each(system["energy"]["battery_initial_j"], K),
        "server_batches": [],
        # Of each fine-tuning round the batch of every device, 0 for those that were silent.
        "device_batches": [],
    }
    rounds = []
    for t, allocation in enumerate(allocations):
        rounds.append(_round(system, state, gains[t], harvests[t], allocation))
        if rounds[-1]["end_reason"] != "running":
            break
    return rounds


def _round(system, state, gain, harvest, allocation):
    """Move `state` over one round and tell what happened."""
    K = system["devices"]["num_devices"]
    before = bound(system, state["server_batches"], state["device_batches"])
    tuning = state["tuning"] or allocation["switch"]
    capacity = each(system["energy"]["battery_capacity_j"], K)
    if tuning:
        devices = [_device(system, k, state["battery"][k], gain[k], allocation) for k in range(K)]
        S = [k for k in range(K) if devices[k]["participates"]]
        spends = [device["compute_j"] + device["upload_j"] for device in devices]
        server_energy = 0.0
        if S:
            duration = max(devices[k]["compute_s"] + devices[k]["upload_s"] for k in S) + system["radio"]["downlink_s"]
        else:
            duration = system["radio"]["idle_s"]
        energy = sum(spends) + system["radio"]["downlink_j"]
    else:
        devices = [_idle() for _ in range(K)]
        spends = [0.0] * K
        duration, server_energy = _pretraining(system, allocation)
        energy = server_energy

    # Where both budgets stop a round, the delay is named.
    if state["elapsed"] + duration > system["budgets"]["delay_s"]:
        reason = "delay budget"
    elif state["spent"] + energy > system["budgets"]["energy_j"]:
        reason = "energy budget"
    else:
        reason = "running"

    counted = reason == "running"
    if counted:
        state["tuning"] = tuning
        state["elapsed"] += duration
        state["spent"] += energy
        for k in range(K):
            state["battery"][k] = min(state["battery"][k] - spends[k] + harvest[k] * duration, capacity[k])
        if tuning:
            state["device_batches"].append([allocation["batch"][k] if k in S else 0 for k in range(K)])
        else:
            state["server_batches"].append(allocation["server_batch"])
        if len(state["server_batches"]) + len(state["device_batches"]) == system["budgets"]["max_rounds"]:
            reason = "last round"
    else:
        duration, energy, server_energy, devices = 0.0, 0.0, 0.0, [_idle() for _ in range(K)]
    after = bound(system, state["server_batches"], state["device_batches"])
    return {
        "counted": counted,
        "end_reason": reason,
        "finetuning": state["tuning"],
        "reward": math.log(before) - math.log(after),
        "objective": after,
        "duration_s": duration,
        "energy_j": energy,
        "server_j": server_energy,
        "elapsed_s": state["elapsed"],
        "spent_j": state["spent"],
        "battery_j": list(state["battery"]),
        **{name: [device[name] for device in devices] for name in _idle()},
    }


def _pretraining(system, allocation):
    """a_s b_s / f_s and rho kappa_s a_s b_s f_s^2."""
    server = system["server"]
    a = system["learning"]["flops_per_sample"] / server["flops_per_cycle"]
    b, f = allocation["server_batch"], allocation["server_freq_hz"]
    return a * b / f, server["overhead_factor"] * server["capacitance_j_s2"] * a * b * f**2


def _device(system, k, battery, gain, allocation):
    """What device k does in a fine-tuning round: nothing, without a batch or where its battery does not cover it."""
    K = system["devices"]["num_devices"]
    a = system["learning"]["flops_per_sample"] / each(system["devices"]["flops_per_cycle"], K)[k]
    kappa = each(system["devices"]["capacitance_j_s2"], K)[k]
    W = each(system["radio"]["bandwidth_hz"], K)[k]
    b, f, p = allocation["batch"][k], allocation["freq_hz"][k], allocation["power_w"][k]
    rate = W * math.log1p(p * gain / (system["radio"]["noise_w_per_hz"] * W)) / math.log(2.0)
    if b == 0 or rate == 0:
        return _idle()
    u = system["learning"]["upload_bit"] / rate
    if kappa * a * b * f**2 + p * u > battery:
        return _idle()
    return {
        "participates": True,
        "compute_s": a * b / f,
        "upload_s": u,
        "compute_j": kappa * a * b * f**2,
        "upload_j": p * u,
    }


def _idle():
    return {"participates": False, "compute_s": 0.0, "upload_s": 0.0, "compute_j": 0.0, "upload_j": 0.0}


def bound(system, server_batches, device_batches):
    """Psi: the learning bound with the batch sizes of the rounds done so far; those of silent devices are 0."""
    learning, K = system["learning"], system["devices"]["num_devices"]
    L, eta_0, eta = learning["smoothness"], learning["server_step_size"], learning["device_step_size"]
    delta2, sigma2_0 = learning["distribution_gap"], learning["server_gradient_variance"]
    omega, sigma2 = each(learning["device_weight"], K), each(learning["device_gradient_variance"], K)
    M, P, A = len(server_batches), 0.0, 0.0
    for batches in device_batches:
        S = [k for k in range(K) if batches[k] > 0]
        Omega = sum(omega[k] for k in S)
        P += Omega
        A += L * eta * sum(omega[k] ** 2 * sigma2[k] / batches[k] for k in S)
        if Omega > 0:
            A += learning["dissimilarity"] * min(Omega, (1 - Omega) ** 2 / Omega)
    least = min(weight for weight in omega if weight > 0)
    if learning["objective"] == "finetune":
        G = learning["initial_gap"]
        for b in server_batches:
            G = (1 - learning["pl_constant"] * eta_0) * G + eta_0 * delta2 / 2 + L * eta_0**2 * sigma2_0 / (2 * b)
        # Before anyone has taken part the denominator is the least that a round can give; likewise below.
        return (2 * G / eta + A) / max(P, least)
    numerator = 2 * learning["initial_gap"]
    for b in server_batches:
        numerator += eta_0 * delta2 + L * eta_0**2 * sigma2_0 / b
    return (numerator + eta * A) / max(eta_0 * M + eta * P, min(eta_0, eta * least))


def each(value, K):
    """One value for each device."""
    return list(value) if isinstance(value, list) else [value] * K
