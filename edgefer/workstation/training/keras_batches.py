"""Pass the batches of an epoch to fit() of Keras.

    model.fit(keras_batches(keras, batches), shuffle=False)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgefer.workstation.networks.data_parallel import DataParallel
from edgefer.workstation.training.epoch_data import Batch, EpochBatches

__all__ = ["keras_batches"]


def keras_batches(keras: Any, batches: EpochBatches, parallel: DataParallel | None = None) -> Any:
    """Return the batches for fit(), which reads them in order.

    The shape of TensorFlow's batches is static, as that of arrays would be, because the graph of another shape rounds
    differently.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = tuple(tf.TensorSpec(array.shape, array.dtype) for array in batches[0])
        data = tf.data.Dataset.from_generator(lambda: _read_ahead(batches), output_signature=signature)
        return data.apply(tf.data.experimental.assert_cardinality(len(batches)))

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        num_batches = len(batches)

        def __getitem__(self, index: int) -> Batch:
            if parallel is None:
                return batches[index]
            rows, start = parallel.rows(batches.batch_size), index * batches.batch_size
            return batches.images(start + rows.start, start + rows.stop)

    return Batches()


def _read_ahead(batches: EpochBatches) -> Iterator[Batch]:
    """Yield the batches; a thread reads each during the step of the one before.

    The prefetching of TensorFlow would call Python from its own threads, also while an interrupted program ends.
    """
    with ThreadPoolExecutor(1) as executor:
        following = executor.submit(batches.__getitem__, 0)
        for index in range(1, len(batches) + 1):
            batch = following.result()
            if index < len(batches):
                following = executor.submit(batches.__getitem__, index)
            yield batch
