"""A fitted posterior: saving it, loading it, and letting it predict raw inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bisnn_pyro.data import Encoder, Events, OutOfRange, Preprocessing, Reader, Recording, Task
from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.limits import enough_memory
from bisnn_pyro.errors import DataError, ModelError, RunFolderError
from bisnn_pyro.experiments.build import build_encoder, build_guide, build_model, build_task
from bisnn_pyro.experiments.components import Component, alone, component_configs
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictors import Predictor, predictors_of
from bisnn_pyro.files import write_whole
from bisnn_pyro.inference import (
    EarlyVotes,
    EncodedBlocks,
    PlacedVotes,
    Prediction,
    Purpose,
    SynapticGuide,
    as_inputs,
    encode_all,
    interleaved,
    load_posterior,
    marginal_natural,
    seeded,
    stored_tensors,
)
from bisnn_pyro.models import SpikingGLM

FORMAT = "1"


@dataclass
class FittedRun:
    """A finished posterior with everything that prediction needs.

    A mixture (``guide.components``) has several networks and posteriors.  Its members are drawn from each in
    turn, member i from component ``i mod M``, and predictors of one network let one per component vote.

    Attributes:
        config: the resolved config.
        model: the network; of a mixture that of the first component.
        guide: the posterior, in ``eval()``; of a mixture that of the first component.
        encoder: features to spikes.
        preprocessing: raw data to features, labels and back.
        temperatures: by predictor, where the run fitted some on its validation points.
        naturals: of the run whose posterior is the prior, by site; empty with any other prior.
        others: the other components of a mixture.
        sharpness: factor of the sharpened committee, where the run fitted one.

    Example::

        fitted = load_run("runs/two-moons/bayes-seed0")
        fitted.predict(x).mean                           # [N, C], the committee's vote
        fitted.predict(x, predictor="committee-scaled")  # the same at the run's temperature
        fitted.predictors["mode"].bits_per_synapse(fitted.guide)
    """

    config: Config
    model: SpikingGLM
    guide: SynapticGuide
    encoder: Encoder
    preprocessing: Preprocessing
    temperatures: dict[str, float] = field(default_factory=dict)
    naturals: dict[str, Tensor] = field(default_factory=dict)
    others: tuple[Component, ...] = ()
    sharpness: float | None = None

    def __repr__(self) -> str:
        """One line for each part; ``print(fitted.model)`` shows the network itself."""
        config, sites = self.config, self.guide.mode()
        inputs = self.encoder.n_inputs(self.preprocessing.n_features)
        layers = " -> ".join([f"{inputs} inputs", *map(_units, config.network.hidden)])
        kind = "binary" if self.guide.binary else "real"
        synapses = f"{sum(w.numel() for w in sites.values()):,} {kind} synapses"
        if self.others:
            synapses += f", {len(self.components)} components"
        votes = [f"{name} of {n}" if (n := self.n_members(name)) > 1 else name for name in self.predictors]
        return (
            f"FittedRun({config.experiment}: {config.method}, seed {config.seed})\n"
            f"  network: {layers}, {synapses}\n"
            f"  predictors: {', '.join(votes)}"
        )

    @property
    def predictors(self) -> Mapping[str, Predictor]:
        """What can vote, by name, each followed by itself at its temperature; the first is the default."""
        found = predictors_of(self.guide, self.temperatures, self.sharpness)
        draws = self.config.predict.draws
        return {name: predictor.with_members(draws, self.scheme) for name, predictor in found.items()}

    @property
    def scheme(self) -> str:
        """How members are drawn; a run from before the key ``predict.scheme`` has independent ones."""
        return self.config.predict.get("scheme", "independent")

    @property
    def components(self) -> tuple[Component, ...]:
        """All components, the first of them ``model`` and ``guide``; one where the run is no mixture."""
        config = alone(self.config, self._first_seed) if self.others else self.config
        return (Component(config, self.model, self.guide), *self.others)

    @property
    def _first_seed(self) -> int:
        return int(self.config.guide.get("seeds", (self.config.seed,))[0])

    def component(self, index: int) -> FittedRun:
        """Return one component as a run of its own."""
        own = self.components[index]
        return replace(
            self,
            config=own.config,
            model=own.model,
            guide=own.guide,
            temperatures={},
            sharpness=None,
            others=(),
        )

    def with_guides(self, change: Callable[[SynapticGuide], SynapticGuide]) -> FittedRun:
        """Return a copy with every component's posterior changed."""
        others = tuple(replace(other, guide=change(other.guide)) for other in self.others)
        return replace(self, guide=change(self.guide), others=others)

    def mean(self) -> dict[str, Tensor]:
        """Return the posterior mean of each synapse, ``[O, I]`` for each site, over all components."""
        means = [component.guide.mean() for component in self.components]
        return {name: torch.stack([mean[name] for mean in means]).mean(0) for name in means[0]}

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return natural parameters as the guide does; of a mixture of binary posteriors the marginals'.

        Raises:
            ModelError: if the guide has none.
            DataError: if this is a mixture over real synapses, whose marginals have none.
        """
        if not self.others:
            return self.guide.natural_parameters()
        if not self.guide.binary:
            raise DataError("a mixture over real synapses has no natural parameters; its components have")
        own = [component.guide.natural_parameters() for component in self.components]
        return {name: marginal_natural(torch.stack([n[name] for n in own])) for name in own[0]}

    def networks(self, predictor: str, most: int) -> Iterator[tuple[SpikingGLM, dict[str, Tensor], int]]:
        """Yield the first networks that vote: model, weights ``[1, O, I]``, and place in its component.

        Args:
            predictor: one of :attr:`predictors`; one that votes analytically has no networks.
            most: how many at most.
        """
        base, components, how = self.predictors[predictor].base, self.components, self.config.predict
        sources = [
            base.with_members(share, self.scheme).networks(component.guide, how.seed)
            for component, share in zip(components, self._shares(), strict=True)
        ]
        for i in range(min(most, self.n_members(predictor))):
            member, m = divmod(i, len(components))
            if (source := sources[m]) is not None:
                yield components[m].model, source(member, 1), member

    @contextmanager
    def simulating(self) -> Iterator[None]:
        """Put every network into evaluation, with hidden spikes of ``predict.seed`` and no gradients."""
        before = [(component.model, component.model.training) for component in self.components]
        for model, _ in before:
            model.eval()
        try:
            with torch.no_grad(), seeded(self.config.predict.seed, Purpose.HIDDEN_SPIKES):
                yield
        finally:
            for model, training in before:
                model.train(training)

    def prepare(self, x: Any, on_out_of_range: str | None = None) -> tuple[Any, OutOfRange]:
        """Turn raw inputs into what the network reads; see :meth:`~bisnn_pyro.data.Preprocessing.inputs`."""
        how = on_out_of_range or self.config.predict.get("on_out_of_range", "clip")
        with enough_memory("x"):
            return self.preprocessing.inputs(x, how)

    def bin(self, recording: str | os.PathLike[str] | Events) -> np.ndarray:
        """Bin a new recording as those of the data were, for :meth:`predict`.

        Args:
            recording: a file that holds one recording, or its events, with times from the same zero.

        Returns:
            Spikes ``[1, T, I]``, uint8; ``numpy.concatenate`` makes a batch of several.

        Raises:
            DataError: if the run was not trained on recordings, or this one cannot be read, leaves the sensor
                or has no event within the time steps.
        """
        binning, sensor = self.preprocessing.binning, self.preprocessing.sensor
        if binning is None or sensor is None:
            raise DataError(
                "this run does not say how recordings become spikes: it was not trained on recordings, or "
                "with an earlier release; bin them with bisnn_pyro.data.Binning"
            )
        events = recording if isinstance(recording, Events) else Reader(sensor)(Recording(Path(recording)))
        return binning.new_spikes(
            events.on(sensor), sensor, "the recording" if events is recording else str(recording)
        )[None]

    def predict(
        self,
        x: ArrayLike,
        *,
        predictor: str | None = None,
        draws: int | None = None,
        seed: int | None = None,
        on_out_of_range: str | None = None,
    ) -> Prediction:
        """Let the committee, or another predictor, vote on raw inputs.

        Args:
            x: ``[N, F]`` features (or images, or ready spikes) as in the training data, unscaled: an array, a
                tensor, a data frame or a sparse matrix.
            predictor: one of :attr:`predictors`; the first by default.
            draws: number of members; the config's by default, 1 for a point estimate.
            seed: of the members and of the encoding; the config's by default.
            on_out_of_range: what happens to values outside the range of the training set: ``clip``, with a
                warning if there are many, ``refuse`` or ``pass``; the config's by default.

        Returns:
            The members' probabilities ``[S, N, C]`` (classes in the order of
            ``preprocessing.labels``) or means ``[S, N]``; ``.mean`` is the committee's vote.  Means and
            noise of a regression are in the targets' original units.
        """
        scaled, found = self.prepare(x, on_out_of_range)
        found.warn()
        prediction = self.predict_scaled(scaled, predictor=predictor, draws=draws, seed=seed)
        prediction = replace(prediction, out_of_range=found.share)
        scaler = self.preprocessing.target_scaler
        if scaler is None or prediction.noise_scale is None:
            return prediction
        noise = prediction.noise_scale * float(scaler.span)
        return replace(prediction, draws=scaler.inverse(prediction.draws), noise_scale=noise)

    def predict_early(
        self,
        x: ArrayLike,
        steps: Sequence[int],
        *,
        predictor: str | None = None,
        draws: int | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """Let one predictor vote on raw inputs before their time is over, all votes from one simulation.

        Args:
            x: as for :meth:`predict`.
            steps: numbers of elapsed steps, ascending and beyond ``network.burn_in``; see
                :class:`~bisnn_pyro.inference.EarlyVotes` for what such a vote is.
            predictor: as for :meth:`predict`; not ``moments``, which has no time steps.
            draws: as for :meth:`predict`.
            seed: as for :meth:`predict`.

        Returns:
            The members' probabilities ``[K, S, N, C]`` at the K steps, or means ``[K, S, N]`` of a regression
            in the targets' original units; the mean over S is the committee's vote.
        """
        chosen = self._known(predictor)
        scaled, found = self.prepare(x)
        found.warn()
        blocks = self.encode(scaled, seed)
        early = EarlyVotes(self.model, steps, self.n_members(chosen.name, draws), blocks.n_examples)
        self.predict_scaled(blocks, predictor=chosen.base.name, draws=draws, seed=seed, early=early)
        if chosen is not chosen.base:
            return np.stack([chosen.derived(Prediction(votes)).draws for votes in early.draws])
        scaler = self.preprocessing.target_scaler
        return early.draws if scaler is None else scaler.inverse(early.draws)

    def encode(self, x: Any, seed: int | None = None) -> EncodedBlocks:
        """Encode scaled inputs, as a ``Task`` holds them, for several calls of :meth:`predict_scaled`."""
        return encode_all(self.encoder, as_inputs(x), self.config.predict.seed if seed is None else seed)

    def predict_scaled(
        self,
        x: Any,
        y: np.ndarray | None = None,
        *,
        predictor: str | None = None,
        draws: int | None = None,
        seed: int | None = None,
        early: EarlyVotes | None = None,
    ) -> Prediction:
        """Let one predictor vote on inputs that are scaled already, as a ``Task`` holds them.

        Args:
            x: scaled inputs ``[N, ...]``, or what :meth:`encode` made of them.
            y: targets ``[N]``, for ``log_likelihood``.
            predictor: as for :meth:`predict`.
            draws: as for :meth:`predict`.
            seed: as for :meth:`predict`; inputs that are encoded already have had theirs.
            early: collects votes before the end.

        Raises:
            DataError: if this run has no such predictor, ``draws`` is not positive or less than the number
                of components, or the predictor has no early votes.
        """
        chosen = self._known(predictor)
        self.n_members(chosen.name, draws)
        seed = self.config.predict.seed if seed is None else seed
        blocks = x if isinstance(x, EncodedBlocks) else self.encode(x, seed)
        return chosen.derived(self.vote(chosen.base, blocks, y, draws=draws, seed=seed, early=early))

    def vote(
        self,
        predictor: Predictor,
        blocks: EncodedBlocks,
        y: np.ndarray | None = None,
        *,
        draws: int | None = None,
        seed: int | None = None,
        early: EarlyVotes | None = None,
    ) -> Prediction:
        """Let a predictor vote on what :meth:`encode` made of inputs, whether the run has it or not."""
        how, targets = self.config.predict, None if y is None else torch.as_tensor(y)
        several = len(self.components)
        votes = [
            predictor.with_members(share, self.scheme).vote(
                component.model,
                component.guide,
                blocks,
                targets,
                draws=share,
                seed=how.seed if seed is None else seed,
                early=early if early is None or several == 1 else PlacedVotes(early, m, several),
            )
            for m, (component, share) in enumerate(zip(self.components, self._shares(draws), strict=True))
        ]
        return interleaved(votes)

    def votes(
        self, blocks: Any, y: np.ndarray | None = None, *, early: Mapping[str, EarlyVotes] | None = None
    ) -> dict[str, Prediction]:
        """Let every predictor vote on scaled inputs; one at a temperature scales the vote of its base.

        Args:
            blocks: what :meth:`encode` made of the inputs, or scaled inputs ``[N, ...]``.
            y: targets ``[N]``, for ``log_likelihood``.
            early: what collects votes before the end, by predictor.
        """
        blocks = blocks if isinstance(blocks, EncodedBlocks) else self.encode(blocks)
        found: dict[str, Prediction] = {}
        for name, predictor in self.predictors.items():
            if predictor.base is predictor:
                collect = (early or {}).get(name)
                found[name] = self.predict_scaled(blocks, y, predictor=name, early=collect)
            else:
                found[name] = predictor.derived(found[predictor.base.name])
        return found

    def n_members(self, predictor: str, draws: int | None = None) -> int:
        """Return how many networks a predictor lets vote: ``draws`` or the config's, or one per component.

        Raises:
            DataError: if ``draws`` is no whole number of at least 1, or less than the number of components.
        """
        chosen, n = self.predictors[predictor], len(self.components)
        if draws is not None and check_count("draws", draws) < n and chosen.base.several:
            raise DataError(
                f"draws is {draws}; a mixture of {n} components needs at least one member of each"
            )
        return sum(map(chosen.n_members, self._shares(draws)))

    def _shares(self, draws: int | None = None) -> list[int]:
        """Return how many of the committee's members each component has."""
        n = len(self.components)
        return [len(range(m, draws or self.config.predict.draws, n)) for m in range(n)]

    def _known(self, predictor: str | None) -> Predictor:
        known = self.predictors
        if predictor is not None and predictor not in known:
            raise DataError(f"predictor is {predictor!r}; this run has {', '.join(known)}")
        return known[predictor or next(iter(known))]

    def fixed(self) -> dict[str, Tensor]:
        """Return what the network has besides its synapses: parameters, read-outs, reference batch."""
        state = {k: v for k, v in self.model.state_dict().items() if ".prior." not in k}
        return state if self.model.reference is None else {**state, "reference": self.model.reference}

    def save(self, folder: RunFolder) -> None:
        """Write the posterior and the preprocessing."""
        tensors: dict[str, Tensor] = {}
        for m, own in enumerate(self.components):
            tensors |= {f"{_prefix(m)}{k}": v for k, v in stored_tensors(own.model, own.guide).items()}
        # With them the run can be loaded where its prior's run is gone.
        tensors |= {f"prior.{k}": v for k, v in self.naturals.items()}
        # One entry: with several, their order (and so the file's bytes) would change from run to run.
        metadata = {"bisnn_pyro_format": FORMAT}
        content = save({k: v.detach().contiguous().clone() for k, v in tensors.items()}, metadata)
        write_whole(folder.posterior_path, content)  # save_file's files only their owner may read
        folder.write_json("preprocessing.json", self.preprocessing.to_dict())


def _prefix(component: int) -> str:
    """Return what the names of a component's tensors begin with; those of the first are a plain run's."""
    return f"component{component}." if component else ""


def _units(layer: Any) -> str:
    """Return a hidden layer in a word: units, or channels and kernel of a convolution."""
    if isinstance(layer, int):
        return str(layer)
    if layer.kind == "conv":
        return f"{layer.channels} maps ({layer.kernel} x {layer.kernel})"
    return f"{layer.units} recurrent" if layer.recurrent else str(layer.units)


def load_run(path: str | os.PathLike[str], *, trust: bool = False, accept_changed: bool = False) -> FittedRun:
    """Load a posterior from a run folder; neither the data nor a training loop is needed.

    Args:
        path: a run folder, for example ``runs/two-moons/bayes-seed0``.
        trust: whether classes of the user's own that the run names may be imported.
        accept_changed: whether to read files that were edited since the run.

    Raises:
        RunFolderError: if a file is missing, broken, or not as the run wrote it.
        ConfigError: if the run names a class of the user's own and ``trust`` is not given.
    """
    folder = RunFolder.at(path, accept_changed=accept_changed)
    config = folder.read_config()
    stored = folder.read_json("preprocessing.json")
    try:
        preprocessing = Preprocessing.from_dict(stored)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(f"{folder.path / 'preprocessing.json'} is broken: {error!r}") from error
    task: Any = preprocessing  # it has the sizes that building needs, and no data
    encoder = build_encoder(config, task, trust=trust)
    source = folder.checked("posterior.safetensors")
    try:
        with safe_open(source, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            found = (file.metadata() or {}).get("bisnn_pyro_format")
        if found != FORMAT:
            raise RunFolderError(f"{folder.posterior_path} has format {found}; this version reads {FORMAT}")
        naturals = {k.removeprefix("prior."): v for k, v in tensors.items() if k.startswith("prior.")}
        components = build_components(config, task, encoder, naturals=naturals, trust=trust)
        if folder.resumable:  # an interrupted mixture has the components that were begun
            components = [
                c
                for m, c in enumerate(components)
                if any(k.startswith(f"{_prefix(m)}guide.") for k in tensors)
            ]
        for m, component in enumerate(components):
            own = {k.removeprefix(_prefix(m)): v for k, v in tensors.items() if k.startswith(_prefix(m))}
            load_posterior(component.model, component.guide, own)
            component.model.eval()
            component.guide.eval()
    except (OSError, SafetensorError, RuntimeError, ModelError) as error:
        raise RunFolderError(f"cannot read {source}: {error}") from error
    scored = {} if folder.resumable and not folder.metrics_path.is_file() else folder.read_metrics()
    fitted = assembled(config, components, encoder, preprocessing, naturals=naturals)
    fitted.temperatures, fitted.sharpness = scored.get("temperatures", {}), scored.get("sharpness")
    return fitted


def build_components(
    config: Config,
    task: Any,
    encoder: Encoder,
    *,
    naturals: Mapping[str, Tensor] | None = None,
    trust: bool = False,
) -> list[Component]:
    """Make network and guide of each component, each under its own seed; nothing is trained yet.

    Args:
        config: of the run.
        task: the task, or the preprocessing of a finished run.
        encoder: features to spikes.
        naturals: of the prior, where that is another run's posterior.
        trust: allow the import of classes of the user's own.
    """
    components = []
    for own in component_configs(config, trust=trust):
        with seeded(own.seed, Purpose.INITIALISATION):
            model = build_model(own, task, encoder, naturals=naturals or {}, trust=trust)
            components.append(Component(own, model, build_guide(own, model, trust=trust)))
    return components


def assembled(
    config: Config,
    components: Sequence[Component],
    encoder: Encoder,
    preprocessing: Preprocessing,
    *,
    naturals: Mapping[str, Tensor] | None = None,
) -> FittedRun:
    """Return the run of these components."""
    first, *others = components
    return FittedRun(
        config,
        first.model,
        first.guide,
        encoder,
        preprocessing,
        naturals=dict(naturals or {}),
        others=tuple(others),
    )


def reopen(
    path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None, *, trust: bool = False
) -> tuple[FittedRun, Task]:
    """Load a run together with the data that it was made from.

    Args:
        path: a run folder.
        data_dir: where the data are now, in place of the config's ``data.path``.
        trust: as for :func:`load_run`.

    Raises:
        RunFolderError: if a file is missing or broken, or the data are not those of the run.
    """
    fitted = load_run(path, trust=trust)
    fitted.config = moved(fitted.config, data_dir)
    task = build_task(fitted.config, trust=trust)
    # A standardiser of the prior's run is not that of these data.
    encoder = fitted.encoder if fitted.naturals else build_encoder(fitted.config, task, trust=trust)
    check_data(RunFolder.at(path), Preprocessing.of(task, encoder))
    return fitted, task


def moved(config: Config, data_dir: str | os.PathLike[str] | None) -> Config:
    """Return the config with its data in another place; itself where that is None."""
    if data_dir is None:
        return config
    return config.replace("data.path", str(Path(os.path.expanduser(data_dir)).absolute()))


def check_data(folder: RunFolder, preprocessing: Preprocessing) -> None:
    """Refuse data that are not those of the run: other recordings, sizes, labels or scales.

    Raises:
        RunFolderError: if the stored preprocessing differs from that of the data as they are now.
    """
    then = folder.read_json("preprocessing.json")
    recordings, now = then.get("fingerprints", {}), preprocessing.fingerprints or {}
    moved = [part for part, found in now.items() if recordings.get(part, found) != found]
    if moved:
        raise RunFolderError(
            f"the data of {folder.path} have changed since the run: other recordings are in its "
            f"{' and '.join(moved)} part, so that it could be tested on what it was trained on; remove those "
            "that were added and put back those that are gone or can no longer be read, or run anew"
        )
    if not preprocessing.matches(then):
        raise RunFolderError(
            f"the data of {folder.path} have changed since the run: their sizes, labels or scales differ "
            "from preprocessing.json; restore them, or run anew"
        )
