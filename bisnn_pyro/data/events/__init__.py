"""Event-camera recordings: readers of the published formats, binning to spikes, and sets by name.

``record`` holds the events of one recording; ``bin_file``, ``aedat``, ``array_file`` and ``shd`` read them;
``folders``, ``gestures``, ``mnist_dvs`` and ``shd`` find recordings on disk; ``binning`` makes spikes of
them, ``spike_file`` and ``cache`` keep these on disk, ``recordings`` gives them out; ``sets`` and ``own`` are
the tasks, whose ``settings`` are explained once.
"""
