"""The examples in the docstrings of public names run and print what they say."""

import doctest
import sys

import pytest

import bisnn_pyro.analysis as analysis

FINDER = doctest.DocTestFinder(exclude_empty=True)
EXAMPLES = {
    test.name: test
    for name in analysis.__all__
    if hasattr(getattr(analysis, name), "__module__")
    for test in FINDER.find(
        getattr(analysis, name),
        name,
        module=False,
        globs={**vars(analysis), **vars(sys.modules[getattr(analysis, name).__module__])},
    )
    if test.examples
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_prints_what_it_says(name):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(EXAMPLES[name]).failed == 0


def test_the_main_functions_have_examples():
    expected = {"plot_reliability", "printed_table", "mean_interval", "run_inference_data", "Voting"}
    assert expected <= set(EXAMPLES)
    assert len(EXAMPLES) >= 12
