"""Coded rounds once more, as a reader of their mathematics would type them in: scalars, loops and `math`.

Symbols as in the two-stage transcription, whose bound is used here, and: n edge nodes with m devices each, (s_e, s_w)
the code of a round; L load, beta batch of a device's own part, F when a device is done, A when an edge node has sent,
c_0 start-up time, x slow-down, y stall for a sample, N tries, N^e of an edge node, tau time of one of its tries. This
file must never import the package that it checks.
"""

import math

from two_stage.golden.transcription import bound, each


def episode(system, gains, harvests, hidden, allocations):
    """Play the allocations, round by round, until the episode ends or they run out.

    Args:
        system: nested tables named as in a scenario file; per-device values are one number or a list.
        gains: g[t][k].
        harvests: h[t][k].
        hidden: tables of x, y, N by [t][k] and N^e by [t][i], named as on a tape.
        allocations: one table a round, as for two-stage, with edge_stragglers, device_stragglers, asked.

    Returns:
        A table a round.
    """
    K = system["devices"]["num_devices"]
    state = {
        "tuning": False,
        "elapsed": 0.0,
        "spent": 0.0,
        "battery": each(system["energy"]["battery_initial_j"], K),
        "server_batches": [],
        # Of each fine-tuning round the batches that entered its gradient, 0 for those that did not.
        "device_batches": [],
    }
    rounds = []
    for t, allocation in enumerate(allocations):
        late = {name: values[t] for name, values in hidden.items()}
        rounds.append(_round(system, state, gains[t], harvests[t], late, allocation))
        if rounds[-1]["end_reason"] != "running":
            break
    return rounds


def _round(system, state, gain, harvest, late, allocation):
    """Move `state` over one round and tell what happened."""
    K = system["devices"]["num_devices"]
    before = bound(system, state["server_batches"], state["device_batches"])
    tuning = state["tuning"] or allocation["switch"]
    if tuning:
        played = _tuning(system, state["battery"], gain, late, allocation)
        energy = sum(played["compute_j"]) + sum(played["upload_j"]) + system["radio"]["downlink_j"]
    else:
        server = system["server"]
        a = system["learning"]["flops_per_sample"] / server["flops_per_cycle"]
        b, f = allocation["server_batch"], allocation["server_freq_hz"]
        played = _nothing(system) | {"duration_s": a * b / f}
        energy = server["overhead_factor"] * server["capacitance_j_s2"] * a * b * f**2
    duration = played["duration_s"]
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
        capacity = each(system["energy"]["battery_capacity_j"], K)
        for k in range(K):
            paid = played["compute_j"][k] + played["upload_j"][k]
            state["battery"][k] = min(state["battery"][k] - paid + harvest[k] * duration, capacity[k])
        if tuning:
            state["device_batches"].append(played["counts"])
        else:
            state["server_batches"].append(allocation["server_batch"])
        if len(state["server_batches"]) + len(state["device_batches"]) == system["budgets"]["max_rounds"]:
            reason = "last round"
    else:
        energy, played = 0.0, _nothing(system)
    after = bound(system, state["server_batches"], state["device_batches"])
    return played | {
        "counted": counted,
        "end_reason": reason,
        "finetuning": state["tuning"],
        "reward": math.log(before) - math.log(after),
        "objective": after,
        "energy_j": energy,
        "elapsed_s": state["elapsed"],
        "spent_j": state["spent"],
        "battery_j": list(state["battery"]),
    }


def _tuning(system, battery, gain, late, allocation):
    """A fine-tuning round, with the code that is decided."""
    n, K = system["coding"]["num_edges"], system["devices"]["num_devices"]
    m = K // n
    s_e, s_w = allocation["edge_stragglers"], allocation["device_stragglers"]
    coded = s_e > 0 or s_w > 0
    beta = [max(b, 1) if coded else b for b in allocation["batch"]]
    load = []
    for k in range(K):
        i, j = divmod(k, m)
        held = [((i + e) % n) * m + (j + w) % m for e in range(s_e + 1) for w in range(s_w + 1)]
        load.append(sum(beta[part] for part in held))
    work = [_device(system, k, battery[k], gain[k], late, allocation, load[k], coded) for k in range(K)]
    working = [k for k in range(K) if work[k]]
    F = {k: work[k]["compute_s"] + work[k]["upload_s"] for k in working}

    A, tau = [None] * n, system["coding"]["edge_s"]
    for i in range(n):
        done = sorted(F[k] for k in working if k // m == i)
        enough = m - s_w if coded else len(done)
        if done and len(done) >= enough:
            A[i] = done[enough - 1] + tau * late["edge_tries"][i]
    sent = sorted(time for time in A if time is not None)
    needed = n - s_e if coded else len(sent)
    decoded = bool(sent) and len(sent) >= needed
    if decoded:
        end = sent[needed - 1]
        duration = end + system["radio"]["downlink_s"]
    else:
        end = max(F.values(), default=0.0)
        duration = end + system["radio"]["idle_s"]

    lateness = [0.0] * K
    for k in working:
        if coded and decoded and F[k] > end:
            lateness[k] = 1 - end / F[k]
    if coded:
        counts = [beta[k] if decoded else 0 for k in range(K)]
    else:
        counts = [beta[k] if k in working else 0 for k in range(K)]
    table = {
        name: [(1 - lateness[k]) * work[k][name] if work[k] else 0.0 for k in range(K)]
        for name in ("compute_s", "upload_s", "compute_j", "upload_j")
    }
    return table | {
        "duration_s": duration,
        "participates": [k in working for k in range(K)],
        "counts": counts,
        "decoded": decoded,
        "load": load,
        "lateness": lateness,
        "edge_s": [time if time is not None and time <= end else 0.0 for time in A],
    }


def _device(system, k, battery, gain, late, allocation, L, coded):
    """What device k does if it is waited for: nothing where it is not to work, or its battery does not cover it."""
    K = system["devices"]["num_devices"]
    silent = not allocation["asked"][k] if coded else allocation["batch"][k] == 0
    a = system["learning"]["flops_per_sample"] / each(system["devices"]["flops_per_cycle"], K)[k]
    kappa = each(system["devices"]["capacitance_j_s2"], K)[k]
    W, c_0 = each(system["radio"]["bandwidth_hz"], K)[k], each(system["coding"]["start_s"], K)[k]
    f, p = allocation["freq_hz"][k], allocation["power_w"][k]
    rate = W * math.log1p(p * gain / (system["radio"]["noise_w_per_hz"] * W)) / math.log(2.0)
    if silent or rate == 0:
        return None
    u = late["tries"][k] * system["learning"]["upload_bit"] / rate
    if kappa * a * L * f**2 + p * u > battery:
        return None
    x, y = late["slowdown"][k], late["stall_s"][k]
    return {
        "compute_s": c_0 + x * a * L / f + y * L,
        "upload_s": u,
        "compute_j": kappa * a * L * f**2,
        "upload_j": p * u,
    }


def _nothing(system):
    """A round in which devices have no part."""
    n, K = system["coding"]["num_edges"], system["devices"]["num_devices"]
    zeros = ("compute_s", "upload_s", "compute_j", "upload_j", "load", "lateness")
    return {name: [0.0] * K for name in zeros} | {
        "duration_s": 0.0,
        "participates": [False] * K,
        "counts": [0] * K,
        "decoded": False,
        "edge_s": [0.0] * n,
    }
