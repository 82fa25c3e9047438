"""Damage to the bytes of a file: what readers must refuse, or read as something else, and never fail on."""

from collections.abc import Callable

from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

_EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]


def _flipped(at: float, bit: int) -> Change:
    def change(data: bytes) -> bytes:
        k = int(at * len(data))
        return data[:k] + bytes([data[k] ^ 1 << bit]) + data[k + 1 :] if data else data

    return change


def _cut(at: float) -> Change:
    return lambda data: data[: int(at * len(data))]


def _without(at: float, n: int) -> Change:
    return lambda data: data[: int(at * len(data))] + data[int(at * len(data)) + n :]


def _repeated(at: float, n: int, times: int) -> Change:
    def change(data: bytes) -> bytes:
        k = int(at * len(data))
        return data[:k] + data[k : k + n] * times + data[k:]

    return change


def _claimed(at: float, value: int, width: int, order: str) -> Change:
    """A number of a header made larger, or anything else overwritten by one."""

    def change(data: bytes) -> bytes:
        k = int(at * len(data))
        return data[:k] + (value % (1 << 8 * width)).to_bytes(width, order) + data[k + width :]

    return change


def _digits(at: float, text: bytes) -> Change:
    """The next number that is written in digits replaced by another."""

    def change(data: bytes) -> bytes:
        k = int(at * len(data))
        while k < len(data) and not data[k : k + 1].isdigit():
            k += 1
        end = k
        while end < len(data) and data[end : end + 1].isdigit():
            end += 1
        return data[:k] + text + data[end:]

    return change


def _inserted(at: float, text: bytes) -> Change:
    return lambda data: data[: int(at * len(data))] + text + data[int(at * len(data)) :]


# Half of the places lie in the first part of a file, where its header is.
places = st.one_of(st.floats(0, 0.999), st.floats(0, 0.1))
changes = st.one_of(
    st.builds(_flipped, places, st.integers(0, 7)),
    st.builds(_cut, places),
    st.builds(_without, places, st.integers(1, 64)),
    st.builds(_repeated, places, st.integers(1, 64), st.integers(1, 5)),
    st.builds(
        _claimed,
        places,
        st.sampled_from(_EXTREMES),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from(["little", "big"]),
    ),
    st.builds(
        _digits, places, st.sampled_from([b"0", b"-1", b"99999999999", b"9" * 5000, b"1e9", b"nan", b""])
    ),
    st.builds(_inserted, places, st.binary(max_size=20)),
)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes after one to four changes."""

    def apply(chosen: list[Change]) -> bytes:
        result = data
        for change in chosen:
            result = change(result)
        return result

    return st.lists(changes, min_size=1, max_size=4).map(apply)
