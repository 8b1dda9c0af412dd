"""One vector of features per image: what a network's encoder says about it, pooled over the image."""

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.errors import TrainingError
from semiseg.inference.sliding_window import Predictor
from semiseg.inference.windows import cut, whole
from semiseg.interfaces.split import SplitNetwork


def pooled_features(
    predictor: Predictor, role: str, image: NDArray[np.float32], slice_axis: int = 2
) -> NDArray[np.float64]:
    """Return the mean, then the standard deviation, of each channel of the encoder's coarsest features, (2 C,).

    Over all voxels of all windows with which ``predictor`` predicts the image, in float32.

    Args:
        predictor: places the windows, and has the strategy with the network.
        role: the network, a ``SplitNetwork``.
        image: (C, X, Y, Z), normalized.
        slice_axis: the axis across which networks of two dimensions slice the image.

    Raises TypeError for a network without parts, and TrainingError if features are not finite.
    """
    network = predictor.strategy.networks[role]
    if not isinstance(network, SplitNetwork):
        raise TypeError(f"{type(network).__name__} is not a SplitNetwork: its backbone does not offer 'split'")
    predictor.strategy.eval()
    volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    windows = predictor.windows(volume.shape[1:], slice_axis, slice_axis, whole(volume.shape[1:]))
    is_flat = len(predictor.patch_size) == 2
    sums, squares, count = torch.zeros(1), torch.zeros(1), 0
    with torch.inference_mode():
        for batch in windows.batches():
            stack = torch.stack([cut(volume, start, windows.size) for start in batch]).to(predictor.device)
            coarsest = network.encode(stack.squeeze(2 + slice_axis) if is_flat else stack)[-1]
            values = coarsest.flatten(2).double().cpu()
            sums = sums + values.sum((0, 2))
            squares = squares + values.square().sum((0, 2))
            count += values.shape[0] * values.shape[2]
        mean = sums / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        found = torch.cat([mean, deviation]).numpy()
    if not np.isfinite(found).all():
        raise TrainingError(
            f"The features of the network {role} are not finite.", "Its weights are invalid: train it again."
        )
    return found
