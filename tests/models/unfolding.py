"""Convolution and pooling as explicit matrices, place by place: nothing of the package's kernels."""

import itertools

import torch


def index(shape, channels_last):
    """Return a function from (channel, row, column) to the flattened index."""
    channels, height, width = shape
    if channels_last:
        return lambda c, i, j: (i * width + j) * channels + c
    return lambda c, i, j: (c * height + i) * width + j


def maps_shape(shape, channels, kernel, stride, padding):
    return channels, *((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])


def dense_matrix(weight, shape, kernel, stride=1, padding=0, *, channels_last=False):
    """Return the matrix ``[H' W' O, C H W]`` of the convolution with ``weight`` ``[O, C k k]``.

    Units have their channels last; gradients flow from the matrix to the shared weights.
    """
    channels, height, width = shape
    out = maps_shape(shape, weight.shape[0], kernel, stride, padding)
    source, unit = index(shape, channels_last), index(out, True)
    rows, columns, entries = [], [], []
    for o, i, j in itertools.product(*map(range, out)):
        for c, a, b in itertools.product(range(channels), range(kernel), range(kernel)):
            y, x = i * stride + a - padding, j * stride + b - padding
            if 0 <= y < height and 0 <= x < width:
                rows.append(unit(o, i, j))
                columns.append(source(c, y, x))
                entries.append(weight[o, (c * kernel + a) * kernel + b])
    matrix = weight.new_zeros(out[0] * out[1] * out[2], channels * height * width)
    if not entries:
        return matrix
    return matrix.index_put((torch.tensor(rows), torch.tensor(columns)), torch.stack(entries))


def pooling_windows(shape, window):
    """Return the units ``[H' W' C, window^2]`` of each pooling window, channels last, row by row."""
    channels, height, width = shape
    unit = index(shape, True)
    return torch.tensor(
        [
            [unit(c, i * window + a, j * window + b) for a in range(window) for b in range(window)]
            for i, j, c in itertools.product(range(height // window), range(width // window), range(channels))
        ]
    )


def pooled(spikes, shape, window, kind):
    """Pool ``[..., H W C]``; a maximum's gradient goes to the first unit that has it."""
    members = spikes[..., pooling_windows(shape, window)]
    if kind == "mean":
        return members.mean(-1)
    first = members.detach().argmax(-1, keepdim=True)
    return members.gather(-1, first).squeeze(-1)
