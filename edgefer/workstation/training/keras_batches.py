"""Pass the batches of an epoch to fit() of Keras.

    model.fit(keras_batches(keras, batches), shuffle=False)
"""

from __future__ import annotations

import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from edgefer.workstation.networks.data_parallel import DataParallel
from edgefer.workstation.training.epoch_data import Batch, EpochBatches

__all__ = ["keras_batches"]


def keras_batches(keras: Any, batches: EpochBatches, parallel: DataParallel | None = None) -> Any:
    """Return the batches for fit(), which reads them in order.

    Args:
        keras: the Keras module.
        batches: batches of the epoch. The caller keeps them until fit() returns, because TensorFlow never releases
            what its datasets refer to.
        parallel: devices that share each batch; None for one device.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_batches(batches)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        num_batches = len(batches)

        def __getitem__(self, index: int) -> Batch:
            if parallel is None:
                return batches[index]
            rows, start = parallel.rows(batches.batch_size), index * batches.batch_size
            return batches.images(start + rows.start, start + rows.stop)

    return Batches()


def _tensorflow_batches(batches: EpochBatches) -> Any:
    """Return a tf.data.Dataset of the batches.

    Their shape is static, as that of arrays would be, because the graph of another shape rounds differently. A dataset
    from a generator, and the prefetching of TensorFlow, would call Python while an interrupted program ends.
    """
    import tensorflow as tf

    shapes, dtypes = zip(*((array.shape, array.dtype) for array in batches[0]))
    reader = _Reader(batches)

    def read(index: Any) -> Any:
        arrays = tf.numpy_function(reader.read, [index], dtypes)
        return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes))

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return tf.data.Dataset.range(len(batches)).map(read).with_options(options)


class _Reader:
    """A reader of batches that others own; a thread reads each during the step of the one before."""

    def __init__(self, batches: EpochBatches) -> None:
        self._batches, self._executor = weakref.ref(batches), ThreadPoolExecutor(1)
        self._following: dict[int, Future[Batch]] = {}
        weakref.finalize(batches, self._executor.shutdown, wait=False)

    def read(self, index: Any) -> Batch:
        """Return a batch, and start to read the next one."""
        batches, position = self._batches(), int(index)
        if batches is None:
            raise ReferenceError("the batches were released before fit() returned")
        following = self._following.pop(position, None)
        if position + 1 < len(batches):
            self._following[position + 1] = self._executor.submit(batches.__getitem__, position + 1)
        return batches[position] if following is None else following.result()
