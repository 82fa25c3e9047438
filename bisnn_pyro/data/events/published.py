"""The published sets: how each is found, and where it comes from."""

from __future__ import annotations

from functools import partial

from bisnn_pyro.data.events.folders import find_classes
from bisnn_pyro.data.events.gestures import find_gestures
from bisnn_pyro.data.events.mnist_dvs import find_mnist_dvs
from bisnn_pyro.data.events.place import EventSet
from bisnn_pyro.data.events.shd import find_shd

NMNIST = EventSet(
    "nmnist",
    partial(find_classes, suffixes=(".bin",), sensor=(34, 34)),
    "Train/<digit>/*.bin and Test/<digit>/*.bin",
    "N-MNIST is published at https://www.garrickorchard.com/datasets/n-mnist.",
    ("nmnist",),
    "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/",
    {
        "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded": "20959b8e626244a1b502305a9e6e2031",
        "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded": "69ca8762b2fe404d9b9bad1103e97832",
    },
)
POKER_DVS = EventSet(
    "poker-dvs",
    partial(find_classes, suffixes=(".npy",), sensor=(35, 35)),
    "pips_train/<suit>/*.npy and pips_test/<suit>/*.npy",
    "The library tonic ships POKER-DVS as pips_train.tar.gz and pips_test.tar.gz.",
    ("pokerdvs",),
    "https://raw.githubusercontent.com/neuromorphs/tonic/"
    "d6f0a56421008c8e5700ca52abda193f9ff29836/tonic/datasets/",
    {
        "pips_train.tar.gz": "412bcfb96826e4fcb290558e8c150aae",
        "pips_test.tar.gz": "eef2bf7d0d3defae89a6fa98b07c17af",
    },
)
MNIST_DVS = EventSet(
    "mnist-dvs",
    find_mnist_dvs,
    "mnist_<digit>_scale<scale>_<number>.aedat, up to two folders down",
    "MNIST-DVS is published at http://www2.imse-cnm.csic.es/caviar/MNISTDVS.html.",
    ("mnistdvs",),
)
DVS_GESTURE = EventSet(
    "dvs-gesture",
    find_gestures,
    "<user>_<light>.aedat with <user>_<light>_labels.csv beside it",
    "DVS128 Gesture is published at https://research.ibm.com/interactive/dvsgesture/ (DvsGesture.tar.gz).",
    ("dvsgesture", "dvs128gesture", "ibmgesture"),
)
SHD = EventSet(
    "shd",
    find_shd,
    "shd_train.h5 and shd_test.h5",
    "The Spiking Heidelberg Digits are published at https://zenkelab.org/datasets/.",
    ("shd", "hsd"),
    "https://zenkelab.org/datasets/",
    {
        "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
        "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    },
)
