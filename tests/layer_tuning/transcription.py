"""Layer tuning once more, as a reader of its mathematics would type it in: scalars, loops and `math`, nothing shared.

One episode. Symbols are those of the mathematics: n blocks of a net, t of them trained, q one of them; K devices; rho
what a level counts, a cycles for a sample, Q bits of an upload, b batch, f clock frequency, p transmit power, Omega_q
the weight of those who train block q. This file must never import the package that it checks.
"""

import math


def episode(system, gains, harvests, allocations):
    """Play the allocations, round by round, until the episode ends or they run out.

    Args:
        system: nested tables named as in a scenario file; per-device values are one number or a list.
        gains: g[t][k].
        harvests: h[t][k].
        allocations: one table a round: switch, depth, server_freq_hz, server_batch, and lists freq_hz, power_w, batch,
            blocks.

    Returns:
        A table a round.
    """
    K = system["devices"]["num_devices"]
    state = {
        "depth": 0,
        "elapsed": 0.0,
        "spent": 0.0,
        "battery": each(system["energy"]["battery_initial_j"], K),
        "server_batches": [],
        # Of each fine-tuning round: blocks and batch of every device, 0 for those that were silent.
        "tuned": [],
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
    before = loss_bound(system, state)
    depth = state["depth"] or (allocation["depth"] if allocation["switch"] else 0)
    if depth:
        devices = [_device(system, k, depth, state["battery"][k], gain[k], allocation) for k in range(K)]
        S = [k for k in range(K) if devices[k]["blocks"] > 0]
        energy = sum(devices[k]["energy_j"] for k in S) + system["radio"]["downlink_j"]
        duration = system["radio"]["idle_s"]
        if S:
            duration = max(devices[k]["seconds"] for k in S) + system["radio"]["downlink_s"]
    else:
        devices = [_silent() for _ in range(K)]
        server = system["server"]
        nets = system["networks"]["depths"]
        # The server pre-trains every net of the family.
        family = sum(flops(system, n, n) for n in nets) / flops(system, nets[-1], nets[-1])
        a = family * system["learning"]["flops_per_sample"] / server["flops_per_cycle"]
        b, f = allocation["server_batch"], allocation["server_freq_hz"]
        duration, energy = a * b / f, server["overhead_factor"] * server["capacitance_j_s2"] * a * b * f**2

    if state["elapsed"] + duration > system["budgets"]["delay_s"]:
        reason = "delay budget"
    elif state["spent"] + energy > system["budgets"]["energy_j"]:
        reason = "energy budget"
    else:
        reason = "running"
    if reason == "running":
        state["depth"] = depth
        state["elapsed"] += duration
        state["spent"] += energy
        capacity = each(system["energy"]["battery_capacity_j"], K)
        for k in range(K):
            left = state["battery"][k] - devices[k]["energy_j"] + harvest[k] * duration
            state["battery"][k] = min(left, capacity[k])
        if depth:
            state["tuned"].append([(devices[k]["blocks"], allocation["batch"][k]) for k in range(K)])
        else:
            state["server_batches"].append(allocation["server_batch"])
        if len(state["server_batches"]) + len(state["tuned"]) == system["budgets"]["max_rounds"]:
            reason = "last round"
    else:
        devices = [_silent() for _ in range(K)]
    after = loss_bound(system, state)
    return {
        "end_reason": reason,
        "depth": state["depth"],
        "reward": math.log(before) - math.log(after),
        "objective": after,
        "elapsed_s": state["elapsed"],
        "spent_j": state["spent"],
        "battery_j": list(state["battery"]),
        "blocks": [device["blocks"] for device in devices],
        "memory_byte": [device["memory_byte"] for device in devices],
    }


def _device(system, k, n, battery, gain, allocation):
    """What device k does in a fine-tuning round: nothing, without a batch, memory for it, or charge that covers it."""
    K = system["devices"]["num_devices"]
    b, f, p = allocation["batch"][k], allocation["freq_hz"][k], allocation["power_w"][k]
    t = min(allocation["blocks"][k], n) if b >= 1 else 0
    while t and memory(system, n, t, b) > each(system["memory"]["limit_byte"], K)[k]:
        t -= 1
    if t == 0:
        return _silent()
    L = system["networks"]["depths"][-1]
    a = system["learning"]["flops_per_sample"] / each(system["devices"]["flops_per_cycle"], K)[k]
    a = a * flops(system, n, t) / flops(system, L, L)
    kappa, W = each(system["devices"]["capacitance_j_s2"], K)[k], each(system["radio"]["bandwidth_hz"], K)[k]
    rate = W * math.log1p(p * gain / (system["radio"]["noise_w_per_hz"] * W)) / math.log(2.0)
    if rate == 0:
        return _silent()
    Q = system["learning"]["upload_bit"] * trained_weights(system, t) / trained_weights(system, L)
    energy = kappa * a * b * f**2 + p * Q / rate
    if energy > battery:
        return _silent()
    return {"blocks": t, "seconds": a * b / f + Q / rate, "energy_j": energy, "memory_byte": memory(system, n, t, b)}


def _silent():
    return {"blocks": 0, "seconds": 0.0, "energy_j": 0.0, "memory_byte": 0.0}


def loss_bound(system, state):
    """J of the chosen net; before one is chosen, the least over all of them."""
    nets = system["networks"]["depths"]
    places = [nets.index(state["depth"])] if state["depth"] else range(len(nets))
    return min(
        system["networks"]["floor"][place] + bound(system, state, place) / (2 * system["learning"]["pl_constant"])
        for place in places
    )


def bound(system, state, place):
    """Phi of a net with the rounds done so far."""
    learning, networks, K = system["learning"], system["networks"], system["devices"]["num_devices"]
    L, eta_0, eta = learning["smoothness"], learning["server_step_size"], learning["device_step_size"]
    delta2 = learning["distribution_gap"] * networks["distribution_factor"][place]
    gap, sigma2_0 = learning["initial_gap"] * networks["gap_factor"][place], learning["server_gradient_variance"]
    omega, sigma2 = each(learning["device_weight"], K), each(learning["device_gradient_variance"], K)
    rho = [0.0, *networks["share"][place]]
    P, A = 0.0, 0.0
    for tuned in state["tuned"]:
        for k in range(K):
            t, b = tuned[k]
            if t:
                P += omega[k] * rho[t]
                A += L * eta * omega[k] ** 2 * sigma2[k] * networks["noise_factor"][place][t - 1] / b
        for q in range(1, networks["depths"][place] + 1):
            Omega = sum(omega[k] for k in range(K) if tuned[k][0] >= q)
            if Omega > 0:
                unlike = min(Omega, (1 - Omega) ** 2 / Omega)
                A += learning["dissimilarity"] * (rho[q] - rho[q - 1]) * unlike
    # Before anyone has taken part the denominator is the least that a round can give, in any net.
    least_share = min(row[0] for row in networks["share"])
    least = least_share * min(weight for weight in omega if weight > 0)
    if learning["objective"] == "finetune":
        for b in state["server_batches"]:
            gap = (1 - learning["pl_constant"] * eta_0) * gap + eta_0 * delta2 / 2 + L * eta_0**2 * sigma2_0 / (2 * b)
        return (2 * gap / eta + A) / max(P, least)
    numerator = 2 * gap
    for b in state["server_batches"]:
        numerator += eta_0 * delta2 + L * eta_0**2 * sigma2_0 / b
    return (numerator + eta * A) / max(eta_0 * len(state["server_batches"]) + eta * P, min(eta_0, eta * least))


def trained_weights(system, t):
    """t P_b + P_h: t blocks of 12 d^2 + 13 d weights; final norm, linear layer and its bias."""
    d, V = system["networks"]["width"], system["networks"]["outputs"]
    return t * (12 * d * d + 13 * d) + 2 * d + (d + 1) * V


def flops(system, n, t):
    """Of one sample: n blocks forward, t of them backward, which is twice that; and the head."""
    d, S, V = (system["networks"][name] for name in ("width", "tokens", "outputs"))
    block, head = 24 * S * d * d + 4 * S * S * d, 2 * _asked(system) * d * V
    return (n + 2 * t) * block + 3 * head


def memory(system, n, t, b):
    """Most bytes held at once: weights, gradients and the optimizer's words, activations of the whole samples."""
    networks, q, B = system["networks"], system["memory"]["optimizer_words"], math.ceil(b)
    d, h, S, V = (networks[name] for name in ("width", "heads", "tokens", "outputs"))
    held = trained_weights(system, n) + networks["embedding_weights"]
    stream = B * S * d
    kept = t * B * S * (16 * d + h * S + 4) + stream + B * _asked(system) * (d + 2 + V)
    return 4 * (held + (1 + q) * trained_weights(system, t) + max(kept, 10 * stream))


def _asked(system):
    return system["networks"]["tokens"] if system["networks"]["predicts_every_token"] else 1


def each(value, K):
    """One value for each device."""
    return list(value) if isinstance(value, list) else [value] * K
