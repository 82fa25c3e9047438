"""The posterior as data: ArviZ containers, synapses, agreement of seeds, elpd and checks of spikes."""
