"""Sliding-window prediction of one preprocessed image."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.inference.mirroring import mirrored
from semiseg.inference.windows import Part, Windows, require_finite, window_means
from semiseg.interfaces.strategy import Strategy
from semiseg.preprocessing.slices import box_of
from semiseg.recipe import schema
from semiseg.types import Shape


class Predictor:
    """Predicts images of any size with a strategy's networks, window by window.

    Networks of two dimensions predict slice by slice, in batches of windows of several slices. Windows have the
    training patch's size, overlap by ``options.overlap`` and are weighted equally or by a Gaussian whose sigma is an
    eighth of the window (as in nnU-Net and MONAI). Images smaller than a window are padded with background.
    """

    def __init__(
        self,
        strategy: Strategy,
        patch_size: Shape,
        options: schema.Inference,
        device: torch.device | str,
        role: str | None = None,
        mirrored_axes: Sequence[int] = (),
    ) -> None:
        """Set up prediction.

        Args:
            strategy: the networks.
            patch_size: the window's size.
            options: overlap, weighting and batch size.
            device: of the networks.
            role: the network that predicts alone; by default the strategy decides, as for new images.
            mirrored_axes: axes of the window; the mean over all flips along them is predicted.
        """
        predict = strategy.predict if role is None else partial(strategy.predict_alone, role)
        self._predict = mirrored(predict, mirrored_axes, len(patch_size))
        self.mirrored_axes = tuple(mirrored_axes)
        self.strategy = strategy
        self.patch_size = patch_size
        self.options = options
        self.device = torch.device(device)

    def probabilities(self, image: NDArray[np.float32], slice_axis: int = 2) -> Tensor:
        """Return class probabilities (K, X, Y, Z) float32 on the CPU of a normalized image (C, X, Y, Z).

        ``slice_axis`` is the axis across which networks of two dimensions slice the image. A strategy's networks are
        combined window by window, so each window is visited once. Raises TrainingError if a probability is not finite:
        its class would be the background.
        """
        from monai.inferers.utils import sliding_window_inference

        self.strategy.eval()
        volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        flat = len(self.patch_size) == 2
        tensor = volume.movedim(1 + slice_axis, 0) if flat else volume[None]
        with torch.inference_mode():
            weighted: Tensor = sliding_window_inference(
                tensor,
                roi_size=self.patch_size,
                sw_batch_size=self.options.batch_size,
                predictor=self._predict,
                overlap=self.options.overlap,
                mode=self.options.weighting,
                sw_device=self.device,
                device="cpu",
            )
        require_finite(weighted)
        return weighted.movedim(0, 1 + slice_axis) if flat else weighted[0]

    def windows(self, shape: Shape, slice_axis: int, axis: int, part: Part) -> Windows:
        """Return the windows over an image of this shape that ``probabilities`` uses, along an axis."""
        size, options = box_of(self.patch_size, slice_axis), self.options
        return Windows(shape, size, options.overlap, options.batch_size, axis, part)

    def planes(self, image: NDArray[np.float32], slice_axis: int, axis: int, part: Part) -> Iterator[Tensor]:
        """Yield ``probabilities`` of a part of an image in blocks of planes across ``axis``; see ``window_means``.

        Values are those of ``probabilities`` within rounding: windows are the same, and are added in another order.
        """
        from monai.data.utils import compute_importance_map

        self.strategy.eval()
        flat, size = len(self.patch_size) == 2, box_of(self.patch_size, slice_axis)

        def predict(windows: Tensor) -> Tensor:
            windows = windows.to(self.device)
            if not flat:
                return self._predict(windows)
            return self._predict(windows.squeeze(2 + slice_axis)).unsqueeze(2 + slice_axis)

        weights = compute_importance_map(self.patch_size, mode=self.options.weighting, device=self.device)
        volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        blocks = window_means(
            volume, self.windows(volume.shape[1:], slice_axis, axis, part), predict, weights.view(size)
        )
        while True:
            with torch.inference_mode():  # not while a block is used
                block = next(blocks, None)
            if block is None:
                return
            yield block

    def seconds_per_batch(self, channels: int) -> float:
        """Measure the time of a full batch of windows with ``channels`` channels, using zeros."""
        self.strategy.eval()
        windows = torch.zeros((self.options.batch_size, channels, *self.patch_size), device=self.device)
        seconds = 0.0
        with torch.inference_mode():
            for _ in range(2):  # the first is a warm-up
                start = time.perf_counter()
                self._predict(windows).cpu()  # waits for the device
                seconds = time.perf_counter() - start
        return seconds

    def labels(self, image: NDArray[np.float32], slice_axis: int = 2) -> NDArray[np.uint8]:
        """Return the label map of the mean probabilities, (X, Y, Z) uint8; arguments as for ``probabilities``."""
        return self.strategy.coding.decide(self.probabilities(image, slice_axis)).numpy()
