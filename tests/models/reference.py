"""Step-by-step networks, written from the equations of arXiv 2012.08300 and nothing else.

All of them loop over time and know nothing of the package's kernels; autograd differentiates the loops.
"""

import math
from typing import NamedTuple

import torch
from hypothesis import strategies as st


class Problem(NamedTuple):
    """Sizes and constants of a random network; tensors come from the seed."""

    sizes: tuple
    n_steps: int
    batch: int
    draws: int | None
    constants: tuple
    reset: float
    seed: int


def _time_constant():
    return st.floats(0.3, 30.0)


def problems(max_layers=3, max_draws=3):
    return st.builds(
        Problem,
        sizes=st.lists(st.integers(1, 6), min_size=2, max_size=max_layers + 1).map(tuple),
        n_steps=st.integers(1, 20),
        batch=st.integers(1, 3),
        draws=st.one_of(st.none(), st.integers(1, max_draws)),
        constants=st.tuples(_time_constant(), _time_constant(), _time_constant()),
        reset=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
        seed=st.integers(0, 2**31),
    )


def filter_loop(x, membrane, synapse):
    """Return the traces of ``[..., T, B, I]``, divided by their response to a constant input of 1."""
    a, b = math.exp(-1 / membrane), math.exp(-1 / synapse)
    p = q = torch.zeros_like(x[..., 0, :, :])
    out = []
    for t in range(x.shape[-3]):
        p, q = a * p + q, b * q + x[..., t, :, :]
        out.append(p * (1 - a) * (1 - b))
    return torch.stack(out, dim=-3)


def refractory_loop(s, tau):
    c = math.exp(-1 / tau)
    r = last = torch.zeros_like(s[..., 0, :, :])
    out = []
    for t in range(s.shape[-3]):
        r, last = c * r + last, s[..., t, :, :]
        out.append(r)
    return torch.stack(out, dim=-3)


def spike(u, surrogate):
    """Return the step of ``u``, with ``surrogate(u)`` for its derivative."""
    bump = surrogate(u.detach()) * (u - u.detach())
    return (u >= 0).to(u.dtype).detach() + bump


def neuron_loop(current, tau, reset, surrogate, noise=None):
    """Return spikes and potentials of ``[..., T, B, O]``; the reset carries no gradient."""
    c = math.exp(-1 / tau)
    r = s = torch.zeros_like(current[..., 0, :, :])
    spikes, potentials = [], []
    for t in range(current.shape[-3]):
        r = c * r + s.detach()
        u = current[..., t, :, :] - reset * r
        if noise is None:
            s = spike(u, surrogate)
        else:
            s = (u + noise[..., t, :, :] >= 0).to(u.dtype).detach() + surrogate(u.detach()) * (u - u.detach())
        spikes.append(s)
        potentials.append(u)
    return torch.stack(spikes, dim=-3), torch.stack(potentials, dim=-3)


class Loop(NamedTuple):
    """One draw's run: lists over layers of ``[T, B, O]``, and which units came near their threshold."""

    spikes: list
    potentials: list
    readouts: list
    near: list


def network_loop(
    weights,
    inputs,
    readouts,
    *,
    constants,
    reset,
    surrogate,
    gain=1.0,
    biases=None,
    local=True,
    trained=None,
    laterals=None,
    tolerance=1e-9,
):
    """Run one network, all layers at step t before any at step t + 1.

    ``near`` holds, for each layer, which ``[B, O]`` came within ``tolerance`` of the threshold without
    being there by an exact absence of input (as all units are at the first step).  ``local`` cuts the
    gradient of traces and layers.  ``readouts`` are matrices ``[C, O]`` or ``None``, one a layer;
    ``trained`` is the last layer's (weight, gain).  ``laterals`` are lateral weights ``[O, O]`` or ``None``.
    """
    a, b, c = (math.exp(-1 / tau) for tau in constants)
    n_steps, batch = inputs.shape[:2]
    fan_ins = [w.shape[1] for w in weights] + ([] if trained is None else [trained[0].shape[1]])
    p = [inputs.new_zeros(batch, n) for n in fan_ins]
    q = [inputs.new_zeros(batch, n) for n in fan_ins]
    r = [inputs.new_zeros(batch, w.shape[0]) for w in weights]
    s = [inputs.new_zeros(batch, w.shape[0]) for w in weights]
    laterals = laterals or [None] * len(weights)
    own_p, own_q = list(s), list(s)
    near = [torch.zeros(batch, w.shape[0], dtype=torch.bool) for w in weights]
    spikes, potentials = [[] for _ in weights], [[] for _ in weights]
    outs = [[] for m in readouts if m is not None] + ([] if trained is None else [[]])

    def trace_step(k, x):
        p[k], q[k] = a * p[k] + q[k], b * q[k] + x
        trace = p[k] * (1 - a) * (1 - b)
        return trace.detach() if local else trace

    for t in range(n_steps):
        x, slot = inputs[t], 0
        for k, w in enumerate(weights):
            trace = trace_step(k, x)
            bias = 0.0 if biases is None else biases[k]
            current = gain * trace @ w.T / math.sqrt(w.shape[1]) + bias
            if laterals[k] is not None:
                own_p[k] = a * own_p[k] + own_q[k]
                heard = own_p[k] * (1 - a) * (1 - b)
                heard = heard.detach() if local else heard
                current = current + gain * heard @ laterals[k].T / math.sqrt(w.shape[0])
            r[k] = c * r[k] + s[k].detach()
            u = current - reset * r[k]
            s[k] = spike(u, surrogate)
            own_q[k] = b * own_q[k] + s[k]
            size = trace.abs() @ w.abs().T + reset * r[k] + (0.0 if biases is None else biases[k].abs())
            near[k] |= ((u.abs() < tolerance * (1 + size)) & (size > 0)).detach()
            spikes[k].append(s[k])
            potentials[k].append(u)
            x = s[k]
            if readouts[k] is not None:
                outs[slot].append(x @ readouts[k].T)
                slot += 1
        if trained is not None:
            w, scale = trained
            outs[slot].append(scale * trace_step(len(weights), x) @ w.T / math.sqrt(w.shape[1]))
    return Loop(
        [torch.stack(x) for x in spikes],
        [torch.stack(x) for x in potentials],
        [torch.stack(x) for x in outs],
        near,
    )


def boxcar(u):
    return ((u > -0.5) & (u <= 0.5)).to(u.dtype)


def triangle(u, width=0.5):
    return torch.clamp(1 - u.abs() / width, min=0) / width
