import subprocess
import sys
import textwrap

import pytest

import bisnn_pyro.analysis as analysis


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )


def test_import_is_light():
    result = run_python(
        """
        import sys
        import bisnn_pyro.analysis
        names = {"torch", "pyro", "arviz", "matplotlib", "scipy", "xarray", "pandas", "numpy"}
        heavy = names & set(sys.modules)
        assert not heavy, heavy
        """
    )
    assert result.returncode == 0, result.stderr


def test_everything_works_without_torch_and_sets_nothing_global():
    # One subprocess: every public name, a file and a figure, with torch and pyro refused.
    result = run_python(
        """
        import sys, tempfile

        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"torch", "pyro", "functorch"}:
                    raise ImportError(f"{name} is blocked")

        sys.meta_path.insert(0, Refuse())
        import matplotlib, numpy as np
        before = dict(matplotlib.rcParams)
        import bisnn_pyro.analysis as analysis

        for name in analysis.__all__:
            getattr(analysis, name)
        probs, labels = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1])
        plot = analysis.plot_reliability({"a": (probs, labels)})
        folder = tempfile.mkdtemp()
        analysis.save_figure(plot.figure, folder, "a", plot.table)
        points = analysis.PredictedPoints(labels, np.zeros((1, 2)), probabilities=probs[None])
        run = analysis.run_inference_data(seed=0, test=points)
        analysis.load_idata(analysis.save_idata(run, folder + "/a.nc"))
        assert "torch" not in sys.modules and "pyro" not in sys.modules
        assert "matplotlib.pyplot" not in sys.modules or "arviz" in sys.modules
        assert {k: v for k, v in matplotlib.rcParams.items() if k != "backend"} == {
            k: v for k, v in before.items() if k != "backend"
        }
        """
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", analysis.__all__)
def test_public_names_exist(name):
    value = getattr(analysis, name)
    if hasattr(value, "__name__"):
        assert value.__name__ == name
        assert value.__module__.startswith("bisnn_pyro.analysis.")
        assert value.__doc__


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        analysis.nonsense  # noqa: B018
    assert "brier_score" in dir(analysis)
