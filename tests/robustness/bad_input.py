"""The table of bad input: what a careless user or an attacker may give to a command that trains.

Every case ends with status 2 and one message, which holds a word of it, before anything is trained or
written.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.resolve import METHOD_GUIDES


class Case(NamedTuple):
    """A command, a word of its message, and the files and variables that are there."""

    arguments: tuple[str, ...]
    word: str
    files: Mapping[str, bytes] = {}
    variables: Mapping[str, str] = {}

    def __str__(self) -> str:
        """Return what tells it from the others."""
        given = [*self.arguments, *(f"{k}={v}" for k, v in self.variables.items())]
        given += [text[:60].decode("latin-1") for text in self.files.values()]
        return " ".join(given).replace("\n", "|")[:140]


def table() -> list[Case]:
    """Return all cases."""
    return [*by_hand(), *generated()]


def by_hand() -> Iterator[Case]:
    """Yield the cases that someone thought of."""
    for text, word in SETS:
        yield Case(("run", "two-moons", "-m", "bayes", "--set", text), word)
    for text, word in TABLES:
        yield Case(("run", "bad.toml"), word, {"bad.toml": HEAD + text.encode()})
    for content, word in FILES:
        yield Case(("run", "bad.toml"), word, {"bad.toml": content})
    for words, word in OPTIONS:
        yield Case(tuple(words.split()), word)
    for variables, word in VARIABLES:
        yield Case(("run", "two-moons", "-m", "bayes"), word, {}, variables)


# -- values of --set ----------------------------------------------------------------------------------

SETS = [
    # no key, or no value
    ("", "--set"),
    ("=", "--set"),
    ("=1", "--set"),
    ("epochs", "--set"),
    ("train.epochs", "--set"),
    (".epochs=1", "--set"),
    ("train.=1", "--set"),
    ("train..epochs=1", "--set"),
    ('train."epochs=1', "--set"),
    ("train epochs=1", "--set"),
    ("train.epochs\n=1", "--set"),
    ("[train]\nepochs=1", "--set"),
    (".".join("a" * 5000) + "=1", "--set"),
    ("train=1", "train"),
    ("train.epochs.x=1", "epochs"),
    ("train.epochs=", "epochs"),
    # what TOML does not have
    ("train.epochs=1\nb=2", "epochs"),
    ("train.epochs=[1", "epochs"),
    ("train.epochs=1__0", "epochs"),
    ("train.epochs=" + "9" * 5000, "64 bits"),
    ("train.epochs=" + "[" * 100_000, "nested"),
    ("train.epochs=1979-05-27", "epochs"),
    ("data.seed=18446744073709551616", "64 bits"),
    ("predict.seed=9223372036854775808", "64 bits"),
    # tables and keys that there are not
    ("trian.epochs=1", "train"),
    ("Train.epochs=1", "Train"),
    ("train.Epochs=1", "epochs"),
    ("train.epoch=1", "epochs"),
    ("train.EPOCHS=1", "EPOCHS"),
    ("methods=[]", "methods"),
    ("method=foo", "--method foo"),
    ("method.bayes=1", "[method.NAME.TABLE]"),
    ("method.baies.rule.lr=1", "bayes"),
    ("method.bayes.rul.lr=1", "rule"),
    ("network.nueron.name=escape", "nueron"),
    ("network.neuron=escape", "network.neuron"),
    ("network.threshold=1.0", "threshold"),
    ("network.neuron.threshold=1.0", "threshold"),
    ("network.neuron.delta=0.2", "delta"),
    ("guide.name=gaussian", "guide"),
    ("guide.components=0", "guide.components"),
    ("guide.components=100000000", "guide.components"),
    ("guide.seeds=[1, 1]", "guide.seeds"),
    ("guide.seeds=[-1]", "guide.seeds"),
    # names, of other kinds and of code
    ("experiment=../x", "experiment"),
    ("experiment=", "experiment"),
    ("description=5", "description"),
    ("seed=-1", "seed"),
    ("seed=1.5", "seed"),
    ("seed=true", "seed"),
    ("data.name=two-moon", "two-moons"),
    ("data.name=5", "data.name"),
    ("data.name=[]", "data.name"),
    ("data.name={}", "data.name"),
    ("data.name=nan", "data.name"),
    ("data.name=npz", "path"),
    ("data.name=os:getcwd", "--trust-code"),
    ("encoder.name=subprocess:Popen", "--trust-code"),
    ("network.name=subprocess:Popen", "--trust-code"),
    ("network.neuron.name=subprocess:Popen", "--trust-code"),
    ("network.surrogate.name=subprocess:Popen", "--trust-code"),
    ("prior.name=subprocess:Popen", "--trust-code"),
    ("likelihood.name=subprocess:Popen", "--trust-code"),
    ("rule.name=subprocess:Popen", "--trust-code"),
    ("method.bayes.guide.name=subprocess:Popen", "--trust-code"),
    ("rule.name=torch.optim:Adam", "--trust-code"),
    ("rule.name=bisnn_pyro.inference:BiMU", "--trust-code"),
    ("train.name=x", "train.name"),
    ("network.hidden=[{ kind = 'os:system', units = 4 }]", "kind"),
    ("network.hidden=[{ kind = 'dence', units = 4 }]", "dense"),
    ("network.hidden=[{ units = 4 }]", "kind"),
    ("network.hidden=[{ kind = 'dense' }]", "units"),
    ("network.hidden=[{ kind = 'dense', units = 0 }]", "units"),
    ("network.hidden=[{ kind = 'conv', channels = 2, kernel = 0 }]", "kernel"),
    ("network.hidden=[{ kind = 'conv', channels = 2, kernel = 3 }]", "network.hidden"),
    ("network.hidden=[true]", "network.hidden"),
    ("network.hidden=['8']", "network.hidden"),
    ("network.hidden=[8.5]", "network.hidden"),
    ("network.hidden=[0]", "hidden"),
    ("network.hidden=[-4]", "hidden"),
    ("network.hidden=[]", "hidden"),
    ("network.normalise=yes", "network.normalise"),
    ("network.burn_in=-1", "burn_in"),
    ("network.burn_in=100", "burn_in"),
    ("network.gain=0", "gain"),
    ("network.gain=-1", "gain"),
    ("network.gain=1e30", "gain"),
    ("network.readout_gain=-1", "readout_gain"),
    ("network.neuron.tau_membrane=0", "tau_membrane"),
    ("network.neuron.tau_membrane=1e30", "tau_membrane"),
    ("network.surrogate.width=0", "width"),
    ("prior.p=0", "prior"),
    ("prior.p=1", "prior"),
    ("prior.p=1.5", "prior"),
    ("likelihood.name=gaussian", "likelihood.name"),
    ("encoder.n_neurons=1", "n_neurons"),
    ("encoder.width=0", "width"),
    ("encoder.width=1e-40", "encoder.width"),
    ("data.noise=-1", "noise"),
    ("data.n_train=-1", "n_train"),
    ("data.n_train=1", "n_train"),
    ("data.seed=-1", "seed"),
    # training and prediction
    ("train.epochs=true", "train.epochs"),
    ("train.epochs='5'", "train.epochs"),
    ("train.epochs=0", "train.epochs"),
    ("train.epochs=-1", "train.epochs"),
    ("train.epochs=1.0", "train.epochs"),
    ("train.epochs=nan", "train.epochs"),
    ("train.batch_size=0", "train.batch_size"),
    ("train.particles=0", "train.particles"),
    ("train.threads=100000", "train.threads"),
    ("train.threads=0", "train.threads"),
    ("train.window=0", "train.window"),
    ("train.average=1.0", "train.average"),
    ("train.share=[0.5, 0.2]", "train.share"),
    ("train.share=[0.5]", "train.share"),
    ("train.kl_weight=-1", "train.kl_weight"),
    ("train.kl_weight=inf", "train.kl_weight"),
    ("train.kl_weight={ start = 1.0, shape = 'linear' }", "end"),
    ("train.kl_weight={ start = 1.0, end = 0.5 }", "shape"),
    ("train.kl_weight={ start = 1.0, end = 0.5, shape = 'lin' }", "linear"),
    ("train.kl_weight={ start = 1.0, end = 0.0, shape = 'exponential' }", "exponential"),
    ("train.lr_schedule=1.0", "train.lr_schedule"),
    ("train.lr_schedule={ warmup = 1.0 }", "warmup"),
    ("train.other_lr=-1", "train.other_lr"),
    ("train.label_smoothing=1.0", "train.label_smoothing"),
    ("train.mixup=-1", "train.mixup"),
    ("train.input_noise=-0.1", "train.input_noise"),
    ("train.committee_weight=0.5", "train.committee_weight"),
    ("guide.temperature=0", "temperature"),
    ("guide.temperature=-1", "temperature"),
    ("guide.temperature=1e-40", "guide.temperature"),
    ("guide.temperature=nan", "guide.temperature"),
    ("guide.temperature={ start = 1.0, shape = 'exponential' }", "end"),
    ("guide.temperature={ start = 1.0, end = -1.0, shape = 'linear' }", "temperature"),
    ("guide.estimator=relaxd", "relaxed"),
    ("guide.init_scale=-1", "init_scale"),
    ("guide.init_scale=1e30", "init_scale"),
    ("rule.lr=0", "lr"),
    ("rule.lr=-1", "lr"),
    ("rule.lr=nan", "rule.lr"),
    ("rule.momentum=1.0", "momentum"),
    ("rule.max_step=0", "max_step"),
    ("rule.maximize=true", "maximize"),
    ("rule.name=expectation", "rule.name"),
    ("rule.name=bimu", "train.kl_weight"),
    ("predict.draws=0", "predict.draws"),
    ("predict.seed=-1", "predict.seed"),
    ("predict.scheme=latin", "latin-hypercube"),
    ("analysis.bins=0", "analysis.bins"),
    ("analysis.resolution=1", "analysis.resolution"),
    ("analysis.early_decisions=-1", "analysis.early_decisions"),
    ("analysis.early_decisions=1000", "analysis.early_decisions"),
    ("analysis.early_decisions=[50, 20]", "analysis.early_decisions"),
    ("analysis.early_decisions=[5]", "analysis.early_decisions"),
    ("analysis.early_decisions=[1000000]", "analysis.early_decisions"),
    ("analysis.noise=[-0.1]", "analysis.noise"),
    ("analysis.noise=0.1", "analysis.noise"),
    ("augment.flip=true", "augment"),
    ("augment.drop=2.0", "drop"),
    ("distil.mix=0.5", "teacher"),
    ("distil.teacher=nowhere", "nowhere"),
    ("prior.name=posterior", "run"),
    # sizes
    ("data.n_train=1000000000000", "n_train"),
    ("data.n_test=1000000000000", "n_test"),
    ("encoder.n_steps=100000000000", "n_steps"),
    ("encoder.n_neurons=1000000000", "encoder"),
    ("network.hidden=[1000000000]", "network.hidden"),
    ("network.hidden=[100000, 100000]", "network.hidden"),
    ("train.particles=1000000000", "train.batch_size"),
    ("train.validation_draws=1000000000", "draws"),
    ("predict.draws=1000000000", "predict.draws"),
    ("analysis.resolution=1000000", "analysis.resolution"),
    ("analysis.bins=1000000000000", "analysis.bins"),
    # what is searched
    ("tune=1", "tune"),
    ("tune.x=1", "tune"),
    ('tune."rule.lr"=0.1', "rule.lr"),
    ('tune."rule.lr"=[]', "rule.lr"),
    ('tune."rule.lr"={ low = 1.0, high = 0.1 }', "low"),
    ('tune."rule.lr"={ low = 0.0, high = 0.1, log = true }', "low"),
    ('tune."rule.lr"={ low = nan, high = 0.1 }', "low"),
]

# -- tables of a file ---------------------------------------------------------------------------------

HEAD = b'experiment = "bad"\n[data]\nname = "two-moons"\n'

TABLES = [
    ("", "methods"),
    ("[method]\n", "methods"),
    ("[method]\nbayes = 'x'\n", "methods"),
    ("[[method]]\nname = 'bayes'\n", "[[method]]"),
    ("[method.bayes.rule]\nlr = 1.0\n", "methods"),
    ("[train]\nepochs = 1\n[train]\nepochs = 2\n", "bad.toml"),
    ("n_train = 5\nn_train = 6\n", "bad.toml"),
    ("[data.x\n", "bad.toml"),
    ("= 5\n", "bad.toml"),
    ("a = " + "[" * 100_000 + "\n", "bad.toml"),
    ("a = " + "{b = " * 5000 + "\n", "bad.toml"),
    (".".join("a" * 3000) + " = 1\n", "bad.toml"),
    (".".join("a" * 300) + " = 1\n", "bad.toml"),
    ("seed = " + "9" * 5000 + "\n", "64 bits"),
    ("seed = 18446744073709551616\n", "data.seed"),
    ("\x00", "bad.toml"),
]

PLAIN = b"methods = ['bayes']\n[data]\nname = 'two-moons'\n"

FILES = [
    (b"", "methods"),
    (b"\xef\xbb\xbf", "methods"),
    (b"\xff\xfe\x00m", "bad.toml"),
    ("experiment = 'ü'".encode("latin-1"), "bad.toml"),
    (b"\x93NUMPY\x01\x00", "bad.toml"),
    (b"PK\x03\x04", "bad.toml"),
    (b"{}", "bad.toml"),
    (b"methods = 'bayes'", "methods"),
    (b"methods = []", "methods"),
    (b"methods = [1]", "methods"),
    (b"methods = [['bayes']]", "methods"),
    (b"methods = ['baies']", "bayes"),
    (b"methods = ['baies']\n[method.bayes.rule]\nlr = 1.0\n", "bayes"),
    (b"methods = ['Bayes']", "bayes"),
    (b"methods = ['bayes', 'bayes']\n[data]\nname = 'two-moons'", "twice"),
    (b"methods = ['']", "method"),
    (b"methods = ['../x']", "method"),
    (PLAIN + b"[train]\nlr_schedule = { shape = 'cosine' }", "end"),
    (PLAIN + b"[train]\nlr_schedule = { end = 0.0 }", "shape"),
    (PLAIN + b"[tune]\n'rule.lr' = { low = 1.0 }", "high"),
    (PLAIN + b"[tune]\n'rule.lr' = { low = 1.0, hihg = 2.0 }", "high"),
    (PLAIN + b"[distil]\nmix = 0.5", "teacher"),
    (PLAIN + b"[distil]\nteacher = 5", "teacher"),
    (PLAIN + b"[distil]\nteacher = 'x'\nmix = 2.0", "distil.mix"),
    (b"method = 'bayes'", "data.name"),
    (b"methods = ['bayes']", "data.name"),
    (b"methods = ['bayes']\ndata = 'two-moons'", "data"),
    (b"methods = ['bayes']\n[data]", "data.name"),
    (b"methods = ['bayes']\n[[data]]\nname = 'two-moons'", "data"),
    (b"methods = ['bayes']\n[data]\nname = 'two-moons'\n[trian]", "train"),
    (b"methods = ['bayes']\n[data]\nname = 'two-moons'\n[method.bayes]\nrule = 5", "rule"),
    (b"methods = ['bayes']\n[data]\nname = 'two-moons'\n[method.bayes.rulle]\nlr = 1.0", "rule"),
    (b"methods = ['bayes']\n[data]\nname = 'two-moons'\n[method.baies.rule]\nlr = 1.0", "bayes"),
    (b"methods = ['own']\n[data]\nname = 'two-moons'\n[method.own.guide]\nname = 'x:Y'", "--trust-code"),
    (b"methods = ['own']\n[data]\nname = 'two-moons'\n[method.own.guide]\nname = 5", "guide.name"),
    (b"methods = ['own']\n[data]\nname = 'two-moons'\n[method.own.guide]\nname = nan", "guide.name"),
    (b"methods = ['own']\n[data]\nname = 'two-moons'\n[method.own.guide]\nname = 'relaxd'", "relaxed"),
    (b"methods = ['bayes']\nseed = -1\n[data]\nname = 'two-moons'", "seed"),
    (b"methods = ['bayes']\nexperiment = 5\n[data]\nname = 'two-moons'", "experiment"),
]

# -- options ------------------------------------------------------------------------------------------

OPTIONS = [
    ("run", "Missing argument"),
    ("run two-moon", "two-moons"),
    ("run nowhere.toml", "nowhere.toml"),
    ("run .toml", ".toml"),
    ("run two-moons --seed x", "--seed"),
    ("run two-moons --seed -1", "--seed"),
    ("run two-moons --seed 1.5", "--seed"),
    ("run two-moons --seed 18446744073709551616", "--seed"),
    ("run two-moons --seed 9223372036854775808", "--seed"),
    ("run two-moons --seed 1 --seeds 0-1", "not both"),
    ("run two-moons --seeds 0-99999999999", "--seeds"),
    ("run two-moons --seeds 0-" + "9" * 100, "--seeds"),
    ("run two-moons --seeds 18446744073709551616", "--seeds"),
    ("run two-moons --seeds 3-1", "--seeds"),
    ("run two-moons --seeds 1,1", "--seeds"),
    ("run two-moons --seeds -1", "--seeds"),
    ("run two-moons --seeds 1,", "--seeds"),
    ("run two-moons --seeds 1-2-3", "--seeds"),
    ("run two-moons --seeds 0.5", "--seeds"),
    ("run two-moons --folds 5", "--folds"),
    ("run two-moons --folds 1", "--folds"),
    ("run digits --folds 1000000000", "--folds"),
    ("run two-moons --jobs 0", "--jobs"),
    ("run two-moons --jobs x", "--jobs"),
    ("run two-moons -m bayes --seeds 0-99 --jobs 1000000000", "--jobs"),
    ("run two-moons -m baies", "bayes"),
    ("run two-moons -m bayes -m bayes", "twice"),
    ("run two-moons --sed 5", "--sed"),
    ("tune two-moons", "--trials"),
    ("tune two-moons --trials 0", "--trials"),
    ("tune two-moons --trials 1000000000000", "--trials"),
    ("tune two-moons --trials 2 --n-seeds 0", "--n-seeds"),
    ("tune two-moons --trials 2 --rungs 1000000000", "--rungs"),
    ("tune two-moons --trials 2 --keep nan", "--keep"),
    ("tune two-moons --trials 2 --keep 2", "--keep"),
    ("tune two-moons --trials 2 --first-share 0", "--first-share"),
    ("show", "Missing argument"),
    ("show two-moons.toml", "two-moons"),
    ("show ../two-moons", "two-moons"),
    ("evaluate nowhere", "nowhere"),
    ("evaluate nowhere --noise x", "--noise"),
    ("evaluate nowhere --out t.csv", "--out"),
    ("export nowhere", "nowhere"),
    ("export nowhere --member -1", "--member"),
    ("certify nowhere", "nowhere"),
    ("energy nowhere", "nowhere"),
    ("energy nowhere --pj add_int", "operation"),
    ("energy nowhere --pj add_int=nan", "add_int"),
    ("compare nowhere", "nowhere"),
    ("compare nowhere --n-boot 0", "--n-boot"),
    ("compare nowhere --seed -1", "--seed"),
    ("report nowhere", "--out"),
    ("report nowhere --out page.html", "nowhere"),
    ("distil nowhere", "nowhere"),
    ("distil nowhere --mix 2", "--mix"),
    ("merge nowhere --out x", "nowhere"),
    ("study shift nowhere --kind noise", "nowhere"),
    ("study shift nowhere --kind noise --severities x", "--severities"),
    ("study out-of-distribution nowhere --against noise", "nowhere"),
    ("study selective nowhere", "nowhere"),
    ("study sweep nowhere --key train.kl_weight", "nowhere"),
    ("study ensembles nowhere --sizes x", "--sizes"),
    ("data inspect nowhere", "nowhere"),
    ("reproduce nothing", "nothing"),
    ("fly", "fly"),
]

VARIABLES = [
    ({"BISNN_MAX_BYTES": "x"}, "BISNN_MAX_BYTES"),
    ({"BISNN_MAX_BYTES": "-1"}, "BISNN_MAX_BYTES"),
    ({"BISNN_MAX_BYTES": "0"}, "BISNN_MAX_BYTES"),
    ({"BISNN_MAX_BYTES": "nan"}, "BISNN_MAX_BYTES"),
    ({"BISNN_MAX_BYTES": "1e6"}, "BISNN_MAX_BYTES"),
]

# -- every key, with values of every other type -------------------------------------------------------

SAMPLES = {bool: "true", int: "7", float: "0.5", str: '"text"', list: "[[]]", dict: "{ no_such_key = 1 }"}
NEVER = ("nan", "inf", "-inf", "1e-300", "[[nan]]")
"""Values of no key: not in single precision, or nested."""


def generated() -> Iterator[Case]:
    """Yield wrong values of every key of every part."""
    for kind, names in parts.PARTS.items():
        if kind in ("layer", "tune", "distil"):
            continue
        for name in names:
            for key, known in parts.keys(kind, name).items():
                for value in wrong_values(known.annotation):
                    yield Case((*_chosen(kind, name), "--set", f"{_place(kind, name)}.{key}={value}"), key)


def wrong_values(annotation: object) -> Iterator[str]:
    """Yield values that are not of a type."""
    members = parts._members(annotation)
    if typing.Any in members or not members:
        return
    accepted = set(map(_kind_of, members))
    yield from (text for kind, text in SAMPLES.items() if not _takes(accepted, kind))
    yield from NEVER


def _kind_of(member: object) -> object:
    if dataclasses.is_dataclass(member):
        return "table of known keys"
    origin = typing.get_origin(member)
    if origin is typing.Literal:
        return "known text"
    return str if getattr(origin, "__name__", "") == "PathLike" else origin or member


def _takes(accepted: set[object], kind: type) -> bool:
    """Whether a sample is right: the nested list and the table are right for free dicts alone."""
    whole_as_float = kind is int and float in accepted
    return whole_as_float or (kind in accepted and kind is not list)


def _chosen(kind: str, name: str) -> tuple[str, ...]:
    """Return the command that chooses a part."""
    command = ["run", "two-moons", "-m", "bayes"]
    if kind == "data":
        needed = [key for key, k in parts.keys(kind, name).items() if k.default is parts.MISSING]
        command += ["--set", f"data.name={name}", *(w for key in needed for w in ("--set", f"data.{key}=x"))]
    elif kind == "guide":
        method = {guide: method for method, guide in METHOD_GUIDES.items()}.get(name, "own")
        command = ["run", "two-moons", "-m", method]
        command += ["--set", f"method.own.guide.name={name}"] if method == "own" else []
    elif kind == "rule" and name == "expectation":
        command = ["run", "two-moons", "-m", "ebp"]
    elif kind == "rule" and name in ("adam", "sgd"):
        command = ["run", "two-moons", "-m", "straight-through", "--set", f"rule.name={name}"]
    elif name:
        command += ["--set", f"{parts.where(kind)}.name={name}"]
    return (*command, *(("--set", "prior.run=x") if (kind, name) == ("prior", "posterior") else ()))


def _place(kind: str, name: str) -> str:
    own = kind == "guide" and name not in METHOD_GUIDES.values()
    return "method.own.guide" if own else parts.where(kind)
