# The public names of finished runs: __init__.py reads this file.
from bisnn_pyro.results.comparison import Comparison as Comparison, compare as compare
from bisnn_pyro.results.finished import FinishedRun as FinishedRun
from bisnn_pyro.results.runs import Line as Line, Runs as Runs
from bisnn_pyro.results.summary import Summary as Summary, summarise as summarise
