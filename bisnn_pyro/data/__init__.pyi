from bisnn_pyro.data.arrays import load_npz as load_npz, load_points as load_points
from bisnn_pyro.data.augmentation import SpikeAugmentation as SpikeAugmentation
from bisnn_pyro.data.encoders import (
    BernoulliRateEncoder as BernoulliRateEncoder,
    DirectEncoder as DirectEncoder,
    Encoder as Encoder,
    LatencyEncoder as LatencyEncoder,
    PopulationEncoder as PopulationEncoder,
    SpikesEncoder as SpikesEncoder,
)
from bisnn_pyro.data.events.binning import Binning as Binning, clear_cache as clear_cache
from bisnn_pyro.data.events.formats import Events as Events
from bisnn_pyro.data.events.layouts import Reader as Reader, Recording as Recording
from bisnn_pyro.data.events.sets import (
    EventSet as EventSet,
    EventSettings as EventSettings,
    dvs_gesture as dvs_gesture,
    event_folder as event_folder,
    mnist_dvs as mnist_dvs,
    nmnist as nmnist,
    poker_dvs as poker_dvs,
    shd as shd,
)
from bisnn_pyro.data.events.spikes import Recordings as Recordings
from bisnn_pyro.data.images import (
    fashion_mnist as fashion_mnist,
    handwritten_digits as handwritten_digits,
    mnist as mnist,
)
from bisnn_pyro.data.inspection import (
    Inspection as Inspection,
    inspect_recordings as inspect_recordings,
    published_size as published_size,
)
from bisnn_pyro.data.limits import BYTES_VARIABLE as BYTES_VARIABLE, MAX_BYTES as MAX_BYTES
from bisnn_pyro.data.location import FOLDER_VARIABLE as FOLDER_VARIABLE
from bisnn_pyro.data.matlab import load_mat as load_mat
from bisnn_pyro.data.out_of_range import OutOfRange as OutOfRange
from bisnn_pyro.data.preprocessing import Preprocessing as Preprocessing
from bisnn_pyro.data.scaling import (
    FeatureScaler as FeatureScaler,
    LabelMap as LabelMap,
    TargetScaler as TargetScaler,
)
from bisnn_pyro.data.shifts import (
    ChangedRows as ChangedRows,
    chosen_signs as chosen_signs,
    gaussian_noise as gaussian_noise,
    noise_like as noise_like,
    rotate as rotate,
    shuffle_pixels as shuffle_pixels,
    upside_down as upside_down,
)
from bisnn_pyro.data.splitting import take_share as take_share
from bisnn_pyro.data.standard_encoder import StandardEncoder as StandardEncoder, Standardiser as Standardiser
from bisnn_pyro.data.synthetic import curve as curve, curve_truth as curve_truth, two_moons as two_moons
from bisnn_pyro.data.task import Grid as Grid, Split as Split, Task as Task
