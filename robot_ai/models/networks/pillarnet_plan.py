"""PillarNet's architecture as numbers, shared by every framework and by training.

Our own: a small convolutional network over pillars seen from above (`robot_ai.lidar.pillars`). Three levels of features
go down by halves and come up again as in a feature pyramid (Lin et al., CVPR 2017); one prediction for each 2x2 pillars
gives class scores and a box, as CenterPoint's heads do (Yin et al., CVPR 2021). Batch normalization, which training
uses, is folded into the convolutions.
"""

from __future__ import annotations

from robot_ai.models.networks.convolution import Conv

CHANNELS = 15
SIDE = 320
STRIDE = 2
CLASSES = 3
BOX = 8
"""offset x, y (cells of the output, from the cell's middle); height of the middle above the ground (meters); natural
logarithms of length, width, height (meters); sine and cosine of twice the heading."""


FINE = (Conv("fine_0", CHANNELS, 32, stride=2),)
MIDDLE = (Conv("middle_0", 32, 64, stride=2), Conv("middle_1", 64, 64), Conv("middle_2", 64, 64))
COARSE = (
    Conv("coarse_0", 64, 96, stride=2),
    Conv("coarse_1", 96, 96),
    Conv("coarse_2", 96, 96),
    Conv("coarse_3", 96, 96),
)
# On the way up: the coarser level's channels are reduced, doubled in size, added to the finer level, and mixed.
REDUCE_COARSE, MIX_MIDDLE = Conv("reduce_coarse", 96, 64, kernel=1), Conv("mix_middle", 64, 64)
REDUCE_MIDDLE, MIX_FINE = Conv("reduce_middle", 64, 32, kernel=1), Conv("mix_fine", 32, 32)
PREDICT = Conv("predict", 32, CLASSES + BOX, kernel=1)


def activated() -> list[Conv]:
    """The convolutions that a rectifier follows; in training, batch normalization comes between."""
    return [*FINE, *MIDDLE, *COARSE, MIX_MIDDLE, MIX_FINE]


def convolutions() -> list[Conv]:
    """Every convolution."""
    return [*activated(), REDUCE_COARSE, REDUCE_MIDDLE, PREDICT]
