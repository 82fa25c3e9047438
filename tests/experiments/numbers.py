"""The numbers behind tables and figures, read back from their CSV."""

import csv


def read_rows(path):
    """A dict a row, all of it text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def by_predictor(path):
    """Predictor -> column -> numbers."""
    tables = {}
    for row in read_rows(path):
        columns = tables.setdefault(row.pop("predictor"), {name: [] for name in row})
        for name, value in row.items():
            columns[name].append(float(value))
    return tables
