"""Pictures of finished runs: the dear part of a run, drawn only where a test looks at them."""


def ask_for_figures(folder):
    """Let the summary that begins with this finished run draw its figures; nothing in the run is drawn."""
    config = folder.read_config()
    analysis = config.analysis.model_copy(update={"figures": True})
    folder.write_config(config.model_copy(update={"analysis": analysis}))
