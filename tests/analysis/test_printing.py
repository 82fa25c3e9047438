from bisnn_pyro.analysis import printed_table

ROWS = [{"method": "bayes", "seed": 0, "accuracy": 0.5}]


def test_prompt_and_notebook_show_the_table():
    table = printed_table(ROWS)
    assert repr(table) == table.plain()
    assert table._repr_markdown_() == table.markdown()
    assert "| bayes | 1 | 0.500 |" in table._repr_markdown_()
