"""Event-camera recordings: readers of the published formats, binning to spikes, and sets by name.

``formats`` holds the events of one recording and reads them from files; ``layouts`` finds the recordings in a
folder; ``binning`` turns them into spikes, which ``spikes`` keeps on disk; ``sets`` are the tasks.
"""
