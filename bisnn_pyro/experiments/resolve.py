"""Presets and config files: reading them, overriding keys, and resolving them to one method's config."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import SCALARS, TABLES, Config, check_top_level, nearest
from bisnn_pyro.toml import deep_update, read_toml

METHOD_GUIDES = {
    "bayes": "relaxed",
    "straight-through": "straight-through",
    "gaussian": "gaussian",
    "full-precision": "full-precision",
    "ebp": "ebp",
    "ebp-real": "ebp-real",
}
"""Methods and the guides that they are."""


def preset_names() -> list[str]:
    """Return the names of the presets that are shipped."""
    folder = resources.files("bisnn_pyro.experiments") / "presets"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """Return a shipped preset's TOML.

    Raises:
        ConfigError: if there is no such preset; the message names the nearest.
    """
    known = preset_names()
    if name not in known:
        raise ConfigError(f"there is no preset {name!r}{nearest(name, known)}; presets: {', '.join(known)}")
    return (resources.files("bisnn_pyro.experiments") / "presets" / f"{name}.toml").read_text("utf-8")


def load_source(source: str) -> dict[str, Any]:
    """Return the tables of a preset, or of a TOML file (anything that ends in ``.toml``)."""
    return read_toml(source) if source.endswith(".toml") else tomllib.loads(preset_text(source))


def methods_of(tables: Mapping[str, Any]) -> list[str]:
    """Return the methods that a source lists; a resolved config lists its own."""
    own = tables.get("method")
    if isinstance(own, list):
        raise ConfigError("write the tables of a method as [method.NAME.TABLE], not as [[method]]")
    methods = tables.get("methods", [own] if isinstance(own, str) else [])
    if not isinstance(methods, list) or not methods or not all(isinstance(m, str) for m in methods):
        raise ConfigError('the config lists no methods; add for example methods = ["bayes"]')
    return methods


def resolve(
    tables: Mapping[str, Any],
    method: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    trust: bool = False,
) -> Config:
    """Return the complete config of one method.

    Args:
        tables: from :func:`load_source`.
        method: its name; its own tables (``[method.NAME.*]``) override the common ones.
        overrides: tables that override both, see :func:`bisnn_pyro.toml.parse_overrides`; of these,
            ``method.NAME`` overrides the rest.
        seed: training seed; ``None`` takes the source's own, or 0.
        trust: allow the import of classes of the user's own.

    Raises:
        ConfigError: if a table, key or value is wrong; a misspelt one answers with the nearest right one.

    Example:
        >>> config = resolve(load_source("digits"), "bayes", overrides={"train": {"epochs": 3}})
        >>> config.train.epochs, config.rule.name, config.prior.name
        (3, 'adam', 'binary')
    """
    base = copy.deepcopy(dict(tables))
    listed = methods_of(base)
    single = isinstance(base.get("method"), str)
    own, changes = {} if single else base.pop("method", {}), copy.deepcopy(dict(overrides or {}))
    of_methods = changes.pop("method", {})
    _check_method_tables(of_methods)
    names = listed if single else _method_names(listed, own, of_methods)
    if method not in names:
        here = f"this config is of {listed[0]}" if single else f"the methods are {', '.join(names)}"
        raise ConfigError(f"unknown method {method!r}{nearest(method, names)}; {here}")
    for layer in (own.get(method, {}), changes, of_methods.get(method, {})):
        check_top_level(layer)
        _merge(base, layer, trust)
    base.pop("methods", None)
    base |= {"method": method, "seed": base.get("seed", 0) if seed is None else seed}
    check_top_level(base)
    _choose_guide(base, method)
    _make_path_absolute(base.get("data", {}), "path")
    _make_path_absolute(base.get("prior", {}), "run")
    config = Config.from_dict(_complete(base, trust))
    if {"components", "seeds"} & config.guide.keys():
        from bisnn_pyro.experiments.components import component_configs  # imports torch

        component_configs(config, trust=trust)  # refuses what does not make a mixture
    return config


def apply_overrides(
    tables: dict[str, Any], overrides: Mapping[str, Any], *, trust: bool = False
) -> dict[str, Any]:
    """Return a source's tables with overrides written into them, for all methods."""
    result = copy.deepcopy(tables)
    common, of_methods = dict(overrides), overrides.get("method", {})
    common.pop("method", None)
    _merge(result, common, trust)
    for own in result.get("method", {}).values():
        for table, keys in common.items():
            if isinstance(keys, Mapping) and isinstance(own.get(table), dict):
                deep_update(own[table], keys)
    _merge(result, {"method": of_methods} if of_methods else {}, trust)
    return result


# -- methods ----------------------------------------------------------------------------------------


def _method_names(listed: Sequence[str], own: Any, changes: Any) -> list[str]:
    """Return the methods that there are: the built-in ones, and those that name their guide."""
    _check_method_tables(own)
    guides = [(name, t.get("guide")) for tables in (own, changes) for name, t in tables.items()]
    with_guide = [name for name, guide in guides if isinstance(guide, Mapping) and "name" in guide]
    names = list(dict.fromkeys([*(n for n in listed if n in METHOD_GUIDES), *with_guide, *METHOD_GUIDES]))
    for name in (*listed, *own, *changes):
        if name not in names:
            raise _unknown_method(name, names)
    return names


def _check_method_tables(tables: Any) -> None:
    if isinstance(tables, str):
        raise ConfigError(f"method = {tables!r} chooses no method; use --method {tables}, or methods = [...]")
    if not isinstance(tables, Mapping) or not all(isinstance(t, Mapping) for t in tables.values()):
        raise ConfigError("write the tables of a method as [method.NAME.TABLE]")


def _unknown_method(name: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"unknown method {name!r}{nearest(name, known)}; a method is one of {', '.join(METHOD_GUIDES)}, or "
        f"names its guide: [method.{name}.guide] with name = 'package.module:Class'"
    )


def _choose_guide(base: dict[str, Any], method: str) -> None:
    """Write the method's guide into [guide]."""
    guide, usual = base.setdefault("guide", {}), METHOD_GUIDES.get(method)
    if "name" not in guide and usual is None:
        raise _unknown_method(method, METHOD_GUIDES)
    if usual is not None and guide.setdefault("name", usual) != usual:
        raise ConfigError(
            f"method {method!r} is the guide {usual!r}, not {guide['name']!r}; choose the "
            "method instead of guide.name, or name a method of your own, [method.NAME.guide]"
        )


# -- merging ----------------------------------------------------------------------------------------


def _make_path_absolute(table: dict[str, Any], key: str) -> None:
    """A run must find its data and its prior from wherever it is evaluated or resumed."""
    if isinstance(table.get(key), str):
        path = Path(os.path.expanduser(table[key])).absolute()
        table[key] = str(path.resolve() if ".." in path.parts else path)  # its last part names the task


def _merge(base: dict[str, Any], other: Mapping[str, Any], trust: bool) -> None:
    """Write tables over others.  Another ``name`` drops the keys of the part that was chosen before."""
    for key, value in sorted(other.items(), key=lambda item: item[0] != "neuron"):
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            if key in parts.PARTS and value.get("name", "auto") not in ("auto", base[key].get("name")):
                base[key] = _kept(key, base[key], value["name"], trust)
                if key == "neuron":
                    base.pop("surrogate", None)  # each neuron has its own usual one
            _merge(base[key], value, trust)
        elif isinstance(value, Mapping) and type(base.get(key)) in (int, float):
            base[key] = {"start": base[key], **value}  # a number becomes a schedule
        else:
            base[key] = copy.deepcopy(value)


def _kept(kind: str, table: Mapping[str, Any], name: str, trust: bool) -> dict[str, Any]:
    """Return those keys of a table that another part takes too; of a data set or encoder, none."""
    if kind in ("data", "encoder"):
        return {}
    known = parts.keys(kind, name, trust=trust)
    return {key: value for key, value in table.items() if key in known}


# -- completing -------------------------------------------------------------------------------------


def _complete(base: dict[str, Any], trust: bool) -> dict[str, Any]:
    """Return the tables of a config with every default written out."""
    scalars = {"experiment": "experiment"} | {key: base[key] for key in SCALARS if key in base}
    _check_scalars(scalars)
    tables = {name: dict(base.get(name, {})) for name in TABLES}
    if "name" not in tables["data"]:
        raise ConfigError("the config lacks data.name")
    tables["encoder"].setdefault("name", "population")
    tables["likelihood"].setdefault("name", "steps")
    guide = parts.find("guide", tables["guide"]["name"], trust=trust)
    tables["prior"].setdefault("name", "binary" if guide.binary else "normal")
    if tables["prior"]["name"] == "posterior":
        tables["train"].setdefault("other_lr", 0.0)  # what the other run learned stays with the prior
    if tables["rule"].setdefault("name", "auto") == "auto":
        tables["rule"]["name"] = guide.default_rule
    single = [kind for kind in TABLES if kind not in ("network", "tune", "distil")]
    complete = {kind: parts.complete(kind, tables[kind], trust=trust) for kind in single}
    complete["network"] = _complete_network(tables["network"], trust)
    complete["tune"] = {key: _searched(key, choice) for key, choice in tables["tune"].items()}
    complete["distil"] = {}
    if tables["distil"]:
        parts.make("distil", tables["distil"])
        complete["distil"] = parts.complete("distil", tables["distil"])
    _check_rule(complete, guide.default_rule)
    for kind in ("encoder", "prior", "predict", "analysis"):
        parts.make(kind, complete[kind], trust=trust)  # refuses values out of range before any data are read
    parts.make("train", complete["train"], trust=trust).check_guide(guide)
    parts.make("rule", complete["rule"], trust=trust, **parts.stand_ins())
    return scalars | complete


def _check_scalars(scalars: Mapping[str, Any]) -> None:
    for key in ("experiment", "method"):
        if not (isinstance(scalars[key], str) and re.fullmatch(r"\w[\w.-]*", scalars[key])):
            raise ConfigError(f"{key} = {scalars[key]!r} must be a name of letters, digits, '.', '_' and '-'")
    if not isinstance(scalars.get("description", ""), str):
        raise ConfigError(f"description = {scalars['description']!r} must be text")
    if type(scalars["seed"]) is not int or not 0 <= scalars["seed"] < 2**63:
        raise ConfigError(f"seed = {str(scalars['seed'])[:40]} must be a whole number from 0 to 2^63 - 1")


def _complete_network(table: dict[str, Any], trust: bool) -> dict[str, Any]:
    """Return [network] with those of the tables ``neuron`` and ``surrogate`` that are taken."""
    inner = {kind: table.pop(kind, None) for kind in ("neuron", "surrogate")}
    for kind, given in inner.items():
        if given is not None and not isinstance(given, Mapping):
            raise ConfigError(f"[network.{kind}] is a table, not {given!r}; set network.{kind}.name")
    result = parts.complete("network", {"name": "dense", **table}, trust=trust)
    taker = parts.find("network", result["name"], trust=trust)
    for kind, given in inner.items():
        if parts.takes(taker, kind):
            name = "threshold" if kind == "neuron" else parts.usual_surrogate(taker)
            result[kind] = parts.complete(kind, {"name": name, **(given or {})}, trust=trust)
            parts.make(kind, result[kind], trust=trust)
            taker = parts.find(kind, result[kind]["name"], trust=trust)
        elif given:
            raise ConfigError(f"{taker.__name__} takes no {kind}: leave [network.{kind}] out")
    return result


def _searched(key: str, choice: Any) -> Any:
    """Return what [tune] says of a key: a list of values, or an interval."""
    if isinstance(choice, Mapping):
        parts.make("tune", choice)
        return parts.complete("tune", choice)
    if not isinstance(choice, list) or not choice:
        raise ConfigError(f"tune.{key!r} must be a list of values, or an interval {{ low = , high = }}")
    return choice


def _check_rule(tables: Mapping[str, Any], usual: str) -> None:
    """Refuse a rule that cannot move the guide's parameters, and a KL that would count twice."""
    rule, guide = tables["rule"]["name"], tables["guide"]["name"]
    if "expectation" in (rule, usual) and rule != usual:
        raise ConfigError(
            f"rule.name = {rule!r} does not suit guide.name = {guide!r}: expectation backpropagation "
            "('expectation') is the rule of 'ebp' and 'ebp-real' alone, and their only one"
        )
    for key in ("differentiable", "maximize"):
        if tables["rule"].get(key):
            raise ConfigError(f"rule.{key} = true has no use here: the loss is minimised, step by step")
    if rule in ("bayesian", "bimu") and usual != "bayesian":
        raise ConfigError(
            f"rule.name = {rule!r} moves natural parameters; the guide {guide!r} has none. "
            "Use 'adam' or 'sgd'"
        )
    if rule == "bimu" and tables["prior"]["name"] == "posterior":
        raise ConfigError(
            "rule.name = 'bimu' pulls all synapses to one natural parameter, and prior.name = 'posterior' "
            "has one per synapse: use rule.name = 'bayesian'"
        )
    beta = tables["train"]["kl_weight"]
    if rule == "bimu" and (beta if not isinstance(beta, dict) else beta["start"] or beta.get("end")):
        raise ConfigError(
            "rule.name = 'bimu' pulls to the prior by itself (rule.memory), and train.kl_weight would do so "
            "again: set train.kl_weight = 0"
        )
