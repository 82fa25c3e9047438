"""Networks of packed bits: the file, what it means, and how a run is written into one."""
