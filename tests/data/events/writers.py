"""Recordings in the publishers' own formats, written here byte by byte from what the formats say."""

import struct
from pathlib import Path

import numpy as np

from bisnn_pyro.data import Events, dvs_gesture, event_folder, mnist_dvs, nmnist, poker_dvs, shd

AEDAT2 = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps tick is 1 us\r\n"
AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01\r\n#!END-HEADER\r\n"


def make_events(n=200, sensor=(34, 34), duration=300_000, seed=0, region=None):
    """Random events in order of time, in a region (top, left, height, width) of the sensor if given."""
    rng = np.random.default_rng(seed)
    top, left, height, width = region or (0, 0, *sensor)
    t = np.sort(rng.integers(0, duration, n)).astype(np.int64)
    x, y = rng.integers(left, left + width, n), rng.integers(top, top + height, n)
    return Events(t, x, y, rng.integers(0, 2, n), sensor)


def bin_bytes(events):
    """N-MNIST: x, y, polarity and 23 bits of time, big-endian; a time of 24 bits by an overflow event."""
    out = bytearray()
    offset = 0
    for t, x, y, p in rows(events):
        while t - offset >= 1 << 23:  # each overflow event adds 2^13 microseconds from itself on
            out += bytes([0, 240, 0, 0, 0])
            offset += 1 << 13
        out += bytes([x, y]) + (p << 23 | t - offset).to_bytes(3, "big")
    return bytes(out)


def aedat2_bytes(events, header=AEDAT2):
    """A DVS128 in AEDAT 2.0: 32-bit address (bit 0: OFF) and time, big-endian, the clock modulo 2^32."""
    out = bytearray(header)
    for t, x, y, p in rows(events):
        out += struct.pack(">II", y << 8 | x << 1 | 1 - p, t % (1 << 32))
    return bytes(out)


def aedat3_bytes(events, header=AEDAT3, per_packet=50, invalid=(), special_every=3):
    """AEDAT 3.1: packets of polarity events, little-endian, packets of special events in between."""
    out = bytearray(header)
    listed = list(enumerate(rows(events)))
    for k, start in enumerate(range(0, len(listed), per_packet)):
        packet = listed[start : start + per_packet]
        for overflow in sorted({t >> 31 for _, (t, *_) in packet}):
            inside = [(i, row) for i, row in packet if row[0] >> 31 == overflow]
            valid = sum(i not in invalid for i, _ in inside)
            out += struct.pack("<hhiiiiii", 1, 1, 8, 4, overflow, len(inside), len(inside), valid)
            for i, (t, x, y, p) in inside:
                out += struct.pack("<Ii", x << 17 | y << 2 | p << 1 | (i not in invalid), t & 0x7FFFFFFF)
        if k % special_every == 0:
            out += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + struct.pack("<Ii", 3, 0)
    return bytes(out)


def rows(events):
    columns = (events.t, events.x, events.y, events.p)
    return zip(*(np.asarray(column).tolist() for column in columns), strict=True)


def write_bin(path: Path, events) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bin_bytes(events))
    return path


def write_class_folders(root: Path, classes=("0", "1"), parts=("Train", "Test"), n=3, n_events=120) -> Path:
    """N-MNIST's layout: class k's events lie in a band of rows of its own."""
    for p, part in enumerate(parts):
        for k, label in enumerate(classes):
            for i in range(n):
                band = (3 * k, 0, 3, 34)
                events = make_events(n_events, seed=1000 * p + 100 * k + i, region=band)
                write_bin(root / part / label / f"{i:05d}.bin", events)
    return root


def write_poker(root: Path, n=3) -> Path:
    """POKER-DVS as tonic unpacks it: suit k's events lie in a band of rows of its own."""
    for part in ("train", "test"):
        for k, suit in enumerate(("cl", "di", "he", "sp")):
            folder = root / f"pips_{part}" / suit
            folder.mkdir(parents=True)
            for i in range(n):
                e = make_events(60, (35, 35), 20_000, seed=10 * k + i, region=(8 * k, 0, 8, 35))
                np.save(folder / f"{i}.npy", np.stack([e.t, e.x, e.y, e.p], 1).astype(np.uint64))
    return root


def write_gestures(root: Path, users=(1, 24), classes=(1, 2, 3), lists=False) -> dict[str, list]:
    """DVS128 Gesture's layout; returns the events of each trial's gestures, by file name."""
    root.mkdir(parents=True, exist_ok=True)
    held = {}
    for user in users:
        name = f"user{user:02d}_led"
        gestures, table = [], ["class,startTime_usec,endTime_usec"]
        begin = 80_000_000
        for k in classes:
            e = make_events(150, (128, 128), 500_000, seed=10 * user + k, region=(10 * k, 0, 10, 128))
            gestures.append(Events(e.t + begin, e.x, e.y, e.p, e.sensor))
            table.append(f"{k},{begin},{begin + 500_000}")
            begin += 700_000
        noise = make_events(40, (128, 128), begin + 1_000_000, seed=user)
        outside = np.all([(noise.t < g.t.min()) | (noise.t > g.t.max()) for g in gestures], axis=0)
        every = [*gestures, Events(*(c[outside] for c in (noise.t, noise.x, noise.y, noise.p)))]
        columns = [np.concatenate([getattr(e, c) for e in every]) for c in "txyp"]
        order = np.argsort(columns[0], kind="stable")
        (root / f"{name}.aedat").write_bytes(aedat3_bytes(Events(*(c[order] for c in columns))))
        (root / f"{name}_labels.csv").write_text("\n".join(table) + "\n")
        held[name] = gestures
    if lists:
        (root / "trials_to_train.txt").write_text("".join(f"user{u:02d}_led.aedat\n" for u in users[1:]))
        (root / "trials_to_test.txt").write_text(f"user{users[0]:02d}_led.aedat\n")
    return held


def write_mnist_dvs(root: Path, digits=(0, 1), n=4, scale=4) -> Path:
    for digit in digits:
        folder = root / f"grabbed_data{digit}" / f"scale{scale}"
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            events = make_events(
                100, (128, 128), 2_000_000, seed=10 * digit + i, region=(20 * digit, 30, 20, 20)
            )
            shifted = Events(events.t + 12_345_678, events.x, events.y, events.p)
            name = f"mnist_{digit}_scale{scale:02d}_{i + 1:04d}.aedat"
            (folder / name).write_bytes(aedat2_bytes(shifted))
    return root


def write_shd(path: Path, labels, seed=0) -> list[tuple[np.ndarray, np.ndarray]]:
    """SHD's arrays; returns the times (float16 seconds) and units of each row."""
    import h5py

    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_ = []
    for label in labels:
        n = int(rng.integers(20, 40))
        times = np.sort(rng.random(n)).astype(np.float16)
        rows_.append((times, rng.integers(30 * label, 30 * label + 30, n).astype(np.uint16)))
    with h5py.File(path, "w") as file:
        for k, name, kind in ((0, "times", np.float16), (1, "units", np.uint16)):
            array = file.create_dataset(f"spikes/{name}", (len(rows_),), h5py.vlen_dtype(kind))
            for i, row in enumerate(rows_):
                array[i] = row[k]
        file["labels"] = np.asarray(labels, np.uint16)
    return rows_


EVENT_SETS = {own.name: own for own in (nmnist, poker_dvs, mnist_dvs, dvs_gesture, shd, event_folder)}


def write_set(name: str, root: Path, scale=4) -> Path:
    """A small copy of a set in its real format, whose classes can be told apart; SHD needs h5py."""
    if name == "shd":
        write_shd(root / "shd_train.h5", [0, 3] * 6)
        write_shd(root / "shd_test.h5", [0, 3] * 2)
    elif name == "dvs-gesture":
        write_gestures(root, users=(1, 2, 3, 24))
    elif name == "mnist-dvs":
        write_mnist_dvs(root, scale=scale)
    elif name == "poker-dvs":
        write_poker(root)
    else:
        write_class_folders(root)
    return root
