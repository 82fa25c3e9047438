"""Read HDF5 files, one line of output each; where the library itself crashes or hangs, this process ends."""

import resource
import signal
import sys
from pathlib import Path

from bisnn_pyro.data.events.layouts import Reader, find_shd
from bisnn_pyro.errors import InputError

if __name__ == "__main__":
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
    for folder in sys.argv[1:]:
        signal.alarm(10)  # seconds; its default action ends the process, even within the library
        try:
            layout = find_shd(Path(folder))
            read = Reader()
            for recording in layout.recordings:
                read(recording)
        except InputError as error:
            print("no-memory" if "fit into memory" in str(error) else "refused", flush=True)
        else:
            print("read", flush=True)
