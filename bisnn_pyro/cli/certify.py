"""``bisnn certify``: a PAC-Bayes certificate of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.cli.options import AcceptChanged, DataDir, OneRun, TrustCode, echo_files


def certify(
    folder: OneRun,
    delta: Annotated[float, typer.Option(help="Probability that the certificate is wrong.")] = 0.05,
    draws: Annotated[int, typer.Option(min=1, help="Independent draws of the network, at least.")] = 2000,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the numbers, .json.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Bound the error of a run's Gibbs network on new data (PAC-Bayes).

    Refused where it would be false: the prior, or a parameter that is no synapse, has seen the examples.
    """
    from bisnn_pyro.derived.certify import certify as certify_run
    from bisnn_pyro.storage import strict_json

    found = certify_run(folder, delta=delta, draws=draws, data_dir=data_dir, trust=trust)
    own, held = found["certificate"], found["held_out"]
    typer.echo(
        f"The Gibbs network (synapses drawn anew for each example) errs on at most {own['bound']:.4f} "
        f"of new\nexamples, with probability {1 - own['delta']:g} over the n = {own['n']} examples and the "
        f"draws; the plurality\nvote of its draws on at most {min(1.0, 2 * own['bound']):.4f}.\n\n"
        f"KL(posterior || prior)        {own['kl']:.2f} nats\n"
        f"empirical risk, {own['draws']} draws    {own['empirical_risk']:.4f}; of all draws at most "
        f"{own['risk_bound']:.4f} (delta' = {own['delta_draws']:g})\n"
        f"held-out bound of the prior   {held['bound']:.4f} (KL = 0, "
        f"empirical risk {held['empirical_risk']:.4f})\n"
        f"test error                    {found['test_gibbs']:.4f} Gibbs, {found['test_vote']:.4f} vote; "
        f"the bound {'holds' if found['holds'] else 'does NOT hold'} on the test set"
    )
    if out is not None:
        strict_json.write(out, found)
        echo_files((out,))
