r"""A network from a file, run by numpy alone: the meaning of an exported file, written as a program.

Besides the network's origin (``made_by``, ``experiment``, ``method``, ``seed``, ``network``), the header of
the file (:mod:`bisnn_pyro.exports.format`) holds:

``n_inputs``, ``n_steps``, ``burn_in``
    Inputs are spikes or currents `[T, B, I]`; the first ``burn_in`` steps have no vote.
``encoder``, ``classes``
    How the run made such inputs of features (scaled as its ``preprocessing.json`` says), and the labels in
    the order of the outputs.
``neuron``
    ``kind`` (``threshold``, ``escape``, ``single-step`` or ``sign``) and its constants: per-step
    ``decays`` (a, b, c), ``reset``, ``delta`` or ``threshold``.
``layers``
    First to last, each with its ``name``, ``kind`` (``dense``, ``recurrent`` or ``conv``), ``n_inputs`` and
    ``n_units``; of a convolution also ``image_shape`` (C, H, W), ``channels``, ``kernel``, ``stride``,
    ``padding`` and ``channels_last`` (whether its inputs are flattened as [H, W, C]), and of a pooling one
    ``pool`` and ``pooling``.  Its units, and what pooling leaves of them, are flattened as [H, W, C].
``readout``
    Whether it is ``filtered``: acts on traces of the spikes instead of the spikes.
``likelihood``
    From the read-outs over the counted steps, without the burn-in, to class probabilities or means; all but
    the last act on the mean over these steps, times the ``gain`` if there is one.  Its ``kind`` is one of

    ``softmax``
        The soft-max.
    ``scaled-softmax``
        The soft-max of ``gain * z + offset``, lists of one number per class.
    ``sigmoid``
        Of one output; two classes.
    ``mean``
        Of one output; a regression, with ``noise_scale``, the standard deviation.
    ``probit``
        The soft-max of ``log Phi(z) - log Phi(-z)``.
    ``spike-train``
        Bayes' rule over C target trains, of which the k-th lets output k fire every ``period`` steps: outputs
        fire with probability ``sigmoid((I - reset R) / delta)``, R the trace of the train itself with factor
        ``decay``.

A layer has the arrays ``<name>.weight`` (signs `[O, I]`), ``<name>.scale`` and ``<name>.offset`` (one
number, or one per row of weights): its current is ``scale * (weight @ trace) + offset``, into which gain,
bias and normalisation are folded.  ``<name>.recurrent`` and ``<name>.lateral_scale`` are of lateral synapses.
The equations are those of arXiv 2012.08300, with traces of unit gain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bisnn_pyro.errors import DataError
from bisnn_pyro.exports.format import read_file
from bisnn_pyro.keys import HIDDEN_SPIKES, Keys, branch, point_keys, uniform

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class ExportedNetwork:
    """A network of +-1 weights, with all that it needs to predict.

    Attributes:
        header: what the file says of it, see the module.
        weights: name -> signs `[O, I]`, int8.
        constants: name -> float32.
    """

    header: Mapping[str, Any]
    weights: Mapping[str, NDArray[np.int8]]
    constants: Mapping[str, Floats]

    def __repr__(self) -> str:
        """One line for each part; ``header`` has the rest."""
        about = self.header
        units = [f"{about['n_inputs']} inputs", *(str(layer["n_units"]) for layer in about["layers"])]
        signs = sum(w.size for w in self.weights.values())
        origin = [
            f"{key} {about[key]}" for key in ("experiment", "method", "seed", "network") if key in about
        ]
        return (
            f"ExportedNetwork({', '.join(origin)})\n"
            f"  network: {' -> '.join(units)}, {about['neuron']['kind']} neurons\n"
            f"  weights: {signs:,} signs, {self.n_bytes:,} bytes with constants"
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of the payload: packed weights and constants."""
        packed = sum(-(-w.size // 8) for w in self.weights.values())
        return packed + sum(c.nbytes for c in self.constants.values())

    def predict(self, inputs: ArrayLike, seed: int = 0, member: int = 0) -> NDArray[np.float64]:
        """Return class probabilities `[B, C]`, or predicted means `[B]` of a regression in rescaled units.

        Args:
            inputs: encoded inputs `[T, B, I]`.
            seed: of escape noise; that of an example depends on it, ``member`` and the example alone, and is
                the run's own under its ``predict.seed``.
            member: the committee's member whose noise it is; 0 for the mode.

        Raises:
            DataError: if the inputs do not fit.
        """
        counted = self.readout(inputs, seed, member)[self.header["burn_in"] :]
        readout = counted.transpose(1, 0, 2).astype(np.float64)
        return _vote(self.header["likelihood"], readout, self.header["burn_in"])

    def readout(self, inputs: ArrayLike, seed: int = 0, member: int = 0) -> Floats:
        """Return the read-out `[T, B, C]` of encoded inputs `[T, B, I]`, burn-in included.

        Raises:
            DataError: if the inputs do not fit.
        """
        x = np.asarray(inputs, dtype=np.float32)
        if x.ndim != 3 or x.shape[2] != self.header["n_inputs"] or x.shape[0] <= self.header["burn_in"]:
            raise DataError(
                f"inputs have shape {x.shape}; expected [T, B, {self.header['n_inputs']}] with T above the "
                f"burn-in of {self.header['burn_in']}"
            )
        escape = self.header["neuron"]["kind"] == "escape"
        keys = branch(point_keys(x.swapaxes(0, 1), seed, HIDDEN_SPIKES), member) if escape else None
        for k, layer in enumerate(self.header["layers"]):
            x = _pooled(layer, self._spikes(layer, x, None if keys is None else branch(keys, k)))
        readout = {"name": "readout", "kind": "dense"}
        return self._current(readout, x, filtered=self.header["readout"]["filtered"])

    def _spikes(self, layer: Mapping[str, Any], x: Floats, keys: Keys | None) -> Floats:
        neuron = self.header["neuron"]
        current = self._current(layer, x, filtered=neuron["kind"] in ("threshold", "escape"))
        if neuron["kind"] == "single-step":
            return (current >= np.float32(neuron["threshold"])).astype(np.float32)
        if neuron["kind"] == "sign":
            return np.where(current >= 0, 1, -1).astype(np.float32)
        if keys is not None:
            current = current + np.float32(neuron["delta"]) * _logistic(keys, *current.shape[::2])
        lateral = None
        if layer["kind"] == "recurrent":
            signs = self.weights[f"{layer['name']}.recurrent"].astype(np.float32)
            lateral = signs.T * self.constants[f"{layer['name']}.lateral_scale"]
        return _scan(current, neuron, lateral)

    def _current(self, layer: Mapping[str, Any], x: Floats, *, filtered: bool) -> Floats:
        """Return ``scale * (weight @ trace) + offset``, `[T, B, units]`."""
        name = layer["name"]
        trace = _trace(x, self.header["neuron"]["decays"]) if filtered else x
        signs = self.weights[f"{name}.weight"].astype(np.float32)
        rows = _patches(layer, trace) if layer["kind"] == "conv" else trace
        current = rows @ signs.T * self.constants[f"{name}.scale"] + self.constants[f"{name}.offset"]
        return current.reshape(*x.shape[:2], -1)


def read_export(path: str | os.PathLike[str]) -> ExportedNetwork:
    """Read a network that ``bisnn export`` wrote, with numpy alone.

    Example::

        network = read_export("runs/digits/bayes-seed0/mode.bisnn")
        network.predict(spikes)  # [T, B, I] to class probabilities [B, C]

    Args:
        path: the file.

    Raises:
        DataError: if the file is missing, is not an exported network, is damaged, has another version, or
            lacks something that the header promises.
    """
    header, arrays = read_file(path)
    weights = {name: a for name, a in arrays.items() if a.dtype == np.int8}
    found = ExportedNetwork(header, weights, {n: a for n, a in arrays.items() if n not in weights})
    try:
        silence = np.zeros((header["burn_in"] + 1, 1, header["n_inputs"]), np.float32)
        found.predict(silence)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is not as the format says: {error!r}; export it again") from error
    return found


def _logistic(keys: Keys, n_steps: int, n_units: int) -> Floats:
    """Return standard logistic noise `[T, B, units]` of examples with these keys `[B]`."""
    u = uniform(branch(keys, np.arange(n_steps)[:, None]), n_units).clip(2.0**-25)
    return np.log(u / (1 - u))


def _trace(x: Floats, decays: list[float]) -> Floats:
    """``P = aP + Q; Q = bQ + x``, scaled to a gain of one."""
    a, b = (np.float32(decay) for decay in decays[:2])
    p, q, out = np.zeros_like(x[0]), np.zeros_like(x[0]), np.empty_like(x)
    for t, step in enumerate(x):
        p = a * p + q
        q = b * q + step
        out[t] = p
    return out * np.float32((1 - decays[0]) * (1 - decays[1]))


def _scan(current: Floats, neuron: Mapping[str, Any], lateral: Floats | None) -> Floats:
    """``R = cR + s; u = I + V P' - reset R; s = u >= 0``, ``P'`` the trace of the layer's own spikes."""
    a, b, c = (np.float32(decay) for decay in neuron["decays"])
    unit = np.float32((1 - neuron["decays"][0]) * (1 - neuron["decays"][1]))
    r, s, p, q = (np.zeros_like(current[0]) for _ in range(4))
    out = np.empty_like(current)
    for t, potential in enumerate(current):
        p = a * p + q
        r = c * r + s
        u = potential - np.float32(neuron["reset"]) * r
        if lateral is not None:
            u = u + (p * unit) @ lateral
        s = (u >= 0).astype(np.float32)
        q = b * q + s
        out[t] = s
    return out


def _patches(layer: Mapping[str, Any], x: Floats) -> Floats:
    """Return what each unit of a convolution sees, `[T, B, H', W', C k k]`."""
    (channels, height, width), side = layer["image_shape"], layer["kernel"]
    last = layer["channels_last"]
    images = x.reshape(*x.shape[:2], *((height, width, channels) if last else (channels, height, width)))
    images = np.moveaxis(images, -1, 2) if last else images
    edge = (layer["padding"], layer["padding"])
    images = np.pad(images, ((0, 0), (0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(3, 4))
    windows = windows[:, :, :, :: layer["stride"], :: layer["stride"]]
    windows = windows.transpose(0, 1, 3, 4, 2, 5, 6)
    return windows.reshape(*windows.shape[:4], -1)


def _pooled(layer: Mapping[str, Any], spikes: Floats) -> Floats:
    side = layer.get("pool", 1)
    if side == 1:
        return spikes
    height, width = (
        (n + 2 * layer["padding"] - layer["kernel"]) // layer["stride"] + 1 for n in layer["image_shape"][1:]
    )
    maps = spikes.reshape(*spikes.shape[:2], height, width, -1)[
        :, :, : height // side * side, : width // side * side
    ]
    windows = maps.reshape(*maps.shape[:2], height // side, side, width // side, side, -1)
    pooled = windows.max((3, 5)) if layer["pooling"] == "max" else windows.mean((3, 5))
    return pooled.reshape(*spikes.shape[:2], -1)


def _vote(likelihood: Mapping[str, Any], readout: Doubles, burn_in: int) -> Doubles:
    """Return class probabilities `[B, C]`, or means `[B]`, of read-outs `[B, T, O]` from step ``burn_in`` on.

    Raises:
        ValueError: if the kind is not known.
    """
    from scipy.special import expit, log_ndtr, softmax

    kind, mean = likelihood["kind"], readout.mean(1) * np.asarray(likelihood.get("gain", 1.0))
    if kind == "softmax":
        return softmax(mean, axis=-1)
    if kind == "scaled-softmax":
        return softmax(mean + np.array(likelihood["offset"]), axis=-1)
    if kind == "sigmoid":
        return np.stack((expit(-mean[:, 0]), expit(mean[:, 0])), axis=-1)
    if kind == "mean":
        return mean[:, 0]
    if kind == "probit":
        p = softmax(log_ndtr(mean) - log_ndtr(-mean), axis=-1)
        return np.maximum(p, np.finfo(p.dtype).tiny)
    if kind == "spike-train":
        return softmax(_train_scores(likelihood, readout, burn_in), axis=-1)
    raise ValueError(f"the likelihood {kind!r} is not known")


def _train_scores(likelihood: Mapping[str, Any], readout: Doubles, burn_in: int) -> Doubles:
    """Return the log-probability of each class's train, `[B, C]`."""
    n_steps, n_classes = burn_in + readout.shape[1], readout.shape[2]
    fires = (np.arange(n_steps) % likelihood["period"] == 0).astype(np.float64)
    r, trace = 0.0, np.zeros(n_steps)
    for t in range(1, n_steps):
        r = trace[t] = likelihood["decay"] * r + fires[t - 1]
    fires, trace = fires[burn_in:], trace[burn_in:]
    scores = np.empty((len(readout), n_classes))
    for k in range(n_classes):
        potential = readout.copy()
        potential[:, :, k] -= likelihood["reset"] * trace
        logit = potential / likelihood["delta"]
        target = np.zeros(logit.shape[1:])
        target[:, k] = fires
        scores[:, k] = (target * logit - np.logaddexp(0, logit)).sum((1, 2))
    return scores
