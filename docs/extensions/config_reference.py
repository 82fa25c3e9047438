"""The config's reference: every table and key with type, default and meaning.

Everything but the introductions comes from the parts themselves: their signatures and docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from typing import Any

from bisnn_pyro.experiments import parts

INTRODUCTION = """# Config

A config is a TOML file whose tables override the defaults below. `bisnn show PRESET` prints a preset. One
key is overridden by `--set TABLE.KEY=VALUE` on the command line and by `load_preset(NAME, TABLE={"KEY":
VALUE})` in Python. The resolved config of a run, with all defaults written out, is `config.toml` in its
folder. A wrong key or value is refused before anything starts, and the message names the nearest right one.

Most tables describe a part: `name` chooses it, and its other keys are the parameters of that class or
function. Another `name` drops the keys that the new part does not take. In place of a built-in name,
`package.module:Class` names a class of your own (for `[data]` a function that returns a `Task`), whose keys
are its own parameters. It is imported only with `--trust-code`, or `trust=True` in Python.

A preset for several methods has `methods = ["bayes", ...]` in place of `method`, and tables
`[method.NAME.TABLE]` for what differs between them: `[method.bayes.rule]` holds keys of `[rule]` for
`bayes` alone, on the command line `--set method.bayes.rule.lr=0.1`. A method is `bayes`,
`straight-through`, `gaussian`, `full-precision`, `ebp`, `ebp-real`, or one that names its guide in
`[method.NAME.guide]`.

Where a number may change during training, a table is a schedule: `{ start = 1.0, end = 0.1, shape =
"cosine" }`.

At the top level stand `experiment` (its name, and that of the folder below `runs/`), `description`,
`method` or `methods`, and `seed` (of initial parameters, order of examples and training draws; `--seed` and
`--seeds` set it)."""

NOTES = {
    "data": "`data.name` selects the data set.",
    "encoder": "How features become spikes; ready spikes are used as they are.",
    "augment": "Random changes of training examples, drawn afresh in each epoch; see "
    "[layers and augmentation](../howto/layers.md).",
    "network": "The network. Input size and number of classes come from the data.",
    "layer": "Hidden layers are numbers of units, or tables such as "
    '`{ kind = "conv", channels = 16, kernel = 5 }`. Convolutions come first.',
    "neuron": "The hidden neurons.",
    "surrogate": "What replaces the derivative of a spike; the neuron's own default unless named.",
    "prior": "`binary` for binary synapses, `normal` for real ones; by default the one that suits the guide.",
    "likelihood": "See [the table of likelihoods](../method.md#loss).",
    "guide": "The posterior, which the method chooses. See [choosing a guide](../howto/choose_guide.md).",
    "rule": "How the guide's parameters move; by default the guide's own rule.",
    "train": "The training loop.",
    "predict": "Prediction.",
    "analysis": "What is computed from the predictions.",
    "tune": "What `bisnn tune` searches, usually as `[method.NAME.tune]`: dotted keys, each with a list of "
    "values or an interval `{ low = 0.01, high = 1.0, log = true }` of these keys.",
    "distil": "Training on the votes of a finished run, which `bisnn distil` sets; absent otherwise.",
}


def config_page() -> str:
    """The page as Markdown.

    Raises:
        ValueError: if a key of this package's own part has no meaning in its docstring.
    """
    page = [INTRODUCTION]
    for kind, names in parts.PARTS.items():
        title = "Layers in `network.hidden`" if kind == "layer" else f"`[{parts.where(kind)}]`"
        page += [f"## {title}", NOTES[kind]]
        for name in names:
            selector = "kind" if kind == "layer" else f"{parts.where(kind)}.name"
            page += [f'### `{selector} = "{name}"`', _summary(parts.find(kind, name))] if name else []
            page += [_table(kind, name)]
    return "\n\n".join(page) + "\n"


def _summary(part: Any) -> str:
    return _markdown((inspect.getdoc(part) or "").split("\n\n")[0])


def _table(kind: str, name: str) -> str:
    rows = []
    for key, k in parts.keys(kind, name).items():
        if not k.meaning and parts.PARTS[kind][name].startswith("bisnn_pyro"):
            raise ValueError(f"{parts.PARTS[kind][name]} does not say in its docstring what {key!r} means")
        cells = (f"`{key}`", parts.in_words(k.annotation), _default(k.default), _markdown(k.meaning))
        rows.append(f"| {' | '.join(cell.replace('|', r'&#124;') for cell in cells)} |")
    return (
        "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows]) if rows else "No keys."
    )


def _default(value: Any) -> str:
    if value is parts.MISSING:
        return "required"
    if dataclasses.is_dataclass(value):
        value = {k: v for k, v in vars(value).items() if v is not None}
    return "none" if value is None else f"`{json.dumps(value, default=str)}`"


def _markdown(text: str) -> str:
    """Markdown from the little reStructuredText that docstrings hold."""
    text = re.sub(r":math:`([^`]+)`", r"$\1$", " ".join(text.split()))
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
