"""The interface of all guides over synapses, on top of Pyro's ``AutoGuide``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import pyro
import torch
from pyro.distributions import TorchDistribution
from pyro.infer.autoguide import AutoGuide
from pyro.nn import PyroModule, PyroParam
from torch import Tensor
from torch.distributions import Independent, constraints

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.seeding import Purpose, generator
from bisnn_pyro.inference.stratified import SCHEMES, latin_uniforms

MAX_SCALE = 1e6
"""Largest scale of initial parameters."""


class SynapticGuide(AutoGuide):
    """A mean-field posterior over the synapses of a Pyro model.

    ``train()`` makes calls give the training draw (relaxed, or a point), ``eval()`` a draw of the
    posterior itself: hard +-1 for binary synapses.  Parameters are made at the first call, by
    :meth:`initialize`, or by ``load_state_dict``; ``bisnn_pyro.testing.GuideContract`` is the test
    suite of a guide.

    A subclass defines the distributions of a site and the parameters they need.  A site that it does not
    cover raises an error; another guide in a ``pyro.infer.autoguide.AutoGuideList`` can cover it.

    Args:
        model: a Pyro model.
        init_scale: scale of the random initial parameters.
    """

    point: ClassVar[bool] = False
    """Whether the guide is a single network, so that a committee of it has one member."""
    binary: ClassVar[bool] = True
    """Whether draws are in {-1, +1}."""
    moments: ClassVar[bool] = False
    """Whether the posterior's moments predict by themselves, see :func:`predict_moments`."""
    default_rule: ClassVar[str] = "adam"
    """What fits the guide unless a rule is chosen: ``bayesian``, ``adam`` or ``expectation``."""
    collects: ClassVar[bool] = False
    """Whether the posterior is gathered over the last part of training, so that no earlier epoch has it."""
    roles: ClassVar[tuple[str, ...]] = ()
    """Names of a site's parameters."""

    def __init__(self, model: Callable[..., Any], *, init_scale: float = 0.1) -> None:
        if not 0 <= init_scale <= MAX_SCALE:
            raise ModelError(f"guide init_scale must lie in [0, {MAX_SCALE:g}], not {init_scale}")
        super().__init__(model)
        self.init_scale = init_scale
        self.sites: dict[str, int] = {}  # name -> event_dim

    # -- what a subclass gives --------------------------------------------------------------------

    def _covers(self, prior: TorchDistribution) -> bool:
        """Return whether a site with this (unwrapped) prior belongs to this guide."""
        raise NotImplementedError

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        """Return the initial parameters of a site, by role (``natural``, ``loc``, ...)."""
        raise NotImplementedError

    def _constraint(self, role: str) -> constraints.Constraint:
        return constraints.real

    def _training_distribution(self, name: str) -> TorchDistribution:
        """Return the distribution of a training draw, without event dimensions."""
        raise NotImplementedError

    def _posterior(self, name: str) -> TorchDistribution:
        """Return the posterior of a site, without event dimensions."""
        raise NotImplementedError

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        """Draw a site from the posterior with an explicit generator."""
        raise NotImplementedError

    def _quantile(self, name: str, u: Tensor) -> Tensor:
        """Return the draw that belongs to uniform numbers, rising or falling with them: optional.

        A class that defines it next to ``_draw`` has committees drawn as a Latin hypercube.
        """
        raise NotImplementedError

    def anneal(self, progress: float) -> Row:
        """Set what the guide itself changes over training, and return it for the history.

        Args:
            progress: share of the training that is over, in [0, 1).
        """
        return {}

    @property
    def warming(self) -> bool:
        """Whether a warm start is under way, see :class:`~bisnn_pyro.inference.WarmStart`."""
        return False

    def begin_warm_start(self, scale: float) -> None:
        """Train as a straight-through network for a while; see :class:`~bisnn_pyro.inference.WarmStart`.

        Raises:
            ModelError: if the guide has no such start.
        """
        raise ModelError(f"{type(self).__name__} has no warm start: leave train.warm_start out")

    def end_warm_start(self) -> None:
        """Go on as the posterior."""

    # -- the AutoGuide ----------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Sample every site; arguments are those of the model and only needed for the first call."""
        if self.prototype_trace is None:
            self._setup_prototype(*args, **kwargs)
        self._create_plates(*args, **kwargs)
        result = {}
        for name, event_dim in self.sites.items():
            source = self._training_distribution if self.training else self._posterior
            result[name] = pyro.sample(name, source(name).to_event(event_dim))
        return result

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Make the parameters by running the model once with these arguments."""
        if self.prototype_trace is None:
            self._setup_prototype(*args, **kwargs)

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            super()._setup_prototype(*args, **kwargs)
        for name, site in list(self.prototype_trace.nodes.items()):
            latent = site["type"] == "sample" and not site["is_observed"]
            if not latent or site["infer"].get("is_likelihood"):
                # Not needed, and not safe to keep: they hold the whole forward pass.
                self.prototype_trace.remove_node(name)
                continue
            self._add_site(name, site)

    def _add_site(self, name: str, site: Mapping[str, Any]) -> None:
        prior = site["fn"]
        while isinstance(prior, Independent):
            prior = prior.base_dist
        if site["cond_indep_stack"] or not self._covers(prior):
            raise ModelError(
                f"{type(self).__name__} does not cover the site {name!r} with prior "
                f"{type(prior).__name__}; give it to another guide through AutoGuideList and "
                "poutine.block, or choose the prior that this guide is for"
            )
        self.sites.pop(name, None)  # it may come from a file, whose order is not the model's
        self.sites[name] = site["fn"].event_dim
        for role, value in self._initial(prior, site["value"].shape).items():
            if _key(name) not in _children(self, role):
                self._register(role, name, value)

    def _register(self, role: str, name: str, value: Tensor) -> None:
        if role not in self._modules:
            setattr(self, role, PyroModule())
        param = PyroParam(value.detach().clone(), self._constraint(role), value.dim())
        setattr(self._modules[role], _key(name), param)

    def _register_statistic(self, role: str, name: str, value: Tensor) -> None:
        """Keep a tensor of a site that is not a parameter; it is a buffer, part of ``state_dict``."""
        if role not in self._modules:
            setattr(self, role, PyroModule())
        cast(PyroModule, self._modules[role]).register_buffer(_key(name), value)

    def parameter(self, role: str, name: str) -> Tensor:
        """Return a site's parameter by its role, for example ``("natural", "layers.0.weight")``."""
        return getattr(self._modules[role], _key(name))

    # -- one interface ----------------------------------------------------------------------------

    def posterior(self) -> dict[str, TorchDistribution]:
        """Return the posterior of each site, all dimensions as the event."""
        return {name: self._posterior(name).to_event(n) for name, n in self._known_sites().items()}

    def mode(self) -> dict[str, Tensor]:
        """Return the most probable network, ``[O, I]`` for each site."""
        return {name: d.mode.detach() for name, d in self.posterior().items()}

    def mean(self) -> dict[str, Tensor]:
        """Return the posterior mean of each synapse; for binary synapses it is not a network of the model."""
        return {name: d.mean.detach() for name, d in self.posterior().items()}

    def median(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the mode, which is the median for binary synapses and Gaussians; Pyro's name for it."""
        return self.mode()

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return each site's natural parameters.

        A Bernoulli's lambda in the site's shape, infinite for a binary point; a Gaussian's pair
        (mean times precision, minus half the precision) along a new first dimension.
        """
        raise NotImplementedError

    @property
    def stratifies(self) -> bool:
        """Whether a Latin hypercube of members can be drawn.

        The class that says how to draw must also say how from uniform numbers: a subclass with a ``_draw``
        (or ``sample_posterior``) of its own and the inherited ``_quantile`` draws independent members.
        """
        ways = {"_draw", "_member", "_quantile", "sample_posterior"}
        owner = next(c for c in type(self).__mro__ if ways & vars(c).keys())
        return owner is not SynapticGuide and "_quantile" in vars(owner)

    @torch.no_grad()
    def sample_posterior(
        self, n: int, *, seed: int, first: int = 0, scheme: str = "independent", of: int | None = None
    ) -> dict[str, Tensor]:
        """Draw ``n`` networks from the posterior, ``[n, O, I]`` for each site.

        Member ``i`` depends on ``seed`` and ``i`` alone (in a Latin hypercube on ``of`` as well), so that a
        committee drawn in pieces (``first``) is the committee drawn at once.  The draws depend neither on the
        module's mode nor on the global random state, and change neither.

        Args:
            n: number of networks.
            seed: of the committee.
            first: index of the first one.
            scheme: ``independent``, or ``latin-hypercube``: each member is still an exact draw, but they are
                negatively correlated, see ``bisnn_pyro.inference.stratified``.  A guide
                that cannot (:attr:`stratifies`) draws independent members.
            of: size of the whole committee; what is drawn up to now, ``first + n``, by default.

        Raises:
            ModelError: if there are no members, or more than the committee has, or no such scheme.
        """
        of = first + n if of is None else of
        if n < 1:
            raise ModelError(f"a committee needs at least one member, not {n}")
        if of < first + n:
            raise ModelError(f"a committee of {of} has no member {first + n - 1}")
        if scheme not in SCHEMES:
            raise ModelError(f"unknown scheme {scheme!r} of a committee; use one of {', '.join(SCHEMES)}")
        stratified = scheme != "independent" and self.stratifies
        members = []
        for i in range(first, first + n):
            if stratified:
                source = generator(seed, Purpose.MEMBERS)
                names = sorted(self._known_sites())
                members.append({name: self._stratified(name, i, of, source) for name in names})
            else:
                members.append(self._member(i, generator(seed, Purpose.MEMBERS, i)))
        return {name: torch.stack([m[name] for m in members]) for name in self._known_sites()}

    def _member(self, index: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw one network of a committee, ``[O, I]`` for each site."""
        # By name: the order of the sites is the model's, or a file's.
        return {name: self._draw(name, generator) for name in sorted(self._known_sites())}

    @property
    def sharpens(self) -> bool:
        """Whether :meth:`sharpened` has a meaning: a binary posterior given by natural parameters alone."""
        return self.binary and not self.point and self.roles == ("natural",)

    def sharpened(self, factor: float) -> SynapticGuide:
        r"""Return a copy whose natural parameters are multiplied: the posterior to this power.

        With :math:`q^c` a synapse of mean :math:`\tanh \lambda` has mean :math:`\tanh c \lambda`: at c = 1
        nothing changes, and as c grows draws become the mode.  Draws under one seed use the same uniform
        numbers at every c.

        Args:
            factor: c > 0, finite.

        Raises:
            ModelError: if the guide cannot (:attr:`sharpens`), or the factor is not positive.
        """
        if not self.sharpens:
            raise ModelError(f"{type(self).__name__} cannot be sharpened: lambda alone must give it")
        if not 0 < factor < float("inf"):
            raise ModelError(f"a posterior is sharpened by a positive number, not {factor}")
        new = copy.deepcopy(self)
        with torch.no_grad():
            for name in self._known_sites():
                getattr(new._modules["natural"], f"{_key(name)}_unconstrained").mul_(factor)
        return new

    def _stratified(self, name: str, member: int, of: int, generator: torch.Generator) -> Tensor:
        like = self.parameter(self.roles[0], name)
        u = latin_uniforms(like.shape, member, of, generator, like.dtype)
        return self._quantile(name, u.to(like.device))

    def _known_sites(self) -> dict[str, int]:
        if not self.sites:
            raise ModelError(
                f"{type(self).__name__} has no parameters yet: call initialize(*model_args), run it once, "
                "or load a state_dict"
            )
        return self.sites

    # -- copies and files -------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the model; unlike in Pyro's own version, the original keeps its model."""
        return {**self.__dict__, "_model": None, "master": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> SynapticGuide:
        """Copy parameters and state; the model is shared, or its copy if it was copied before."""
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        if self._model is not None:  # it is None after unpickling
            new._model = (memo.get(id(self.model), self.model),)
        return new

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Make the parameters in the state dict that a fresh guide lacks, and name those it lacks."""
        for key, value in state_dict.items():
            parts = key.removeprefix(prefix).split(".")
            if key.startswith(prefix) and len(parts) == 2 and parts[1].endswith("_unconstrained"):
                role, name = parts[0], parts[1].removesuffix("_unconstrained").replace("__", ".")
                if role not in self.roles:
                    continue  # another guide's: torch reports it as unexpected
                for needed in self.roles:  # every role, so that torch reports missing entries
                    own = state_dict.get(f"{prefix}{needed}.{parts[1]}", value)
                    if _key(name) not in _children(self, needed):
                        self._register(needed, name, torch.ones_like(own))
                self.sites.setdefault(name, value.dim())
        super()._load_from_state_dict(state_dict, prefix, *args)
        missing: list[str] = args[2]
        lacking = [name for name in getattr(self.model, "weight_sites", ()) if name not in self.sites]
        missing += [f"{prefix}{role}.{_key(name)}_unconstrained" for name in lacking for role in self.roles]


def _key(name: str) -> str:
    """Return a site name as a module attribute: dots are not allowed in those."""
    return name.replace(".", "__")


def _children(guide: SynapticGuide, role: str) -> set[str]:
    module = guide._modules.get(role)
    return set() if module is None else {k.removesuffix("_unconstrained") for k in module._parameters}
