"""Write TensorBoard logs of a training with TensorFlow; TensorBoard itself is not required.

    log_epoch(run.folder / "tensorboard", epoch)    # then: tensorboard --logdir runs
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from edgefer.workstation.training.schedule import Epoch

__all__ = ["log_epoch"]


def log_epoch(folder: Path, epoch: Epoch) -> None:
    """Write the finite values of an epoch as scalars; a resumed training appends to existing logs."""
    import tensorflow as tf

    scalars = [
        tf.compat.v1.Summary.Value(tag=name, simple_value=value)
        for name, value in dataclasses.asdict(epoch).items()
        if name != "epoch" and math.isfinite(value)
    ]
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(tf.compat.v1.Summary(value=scalars).SerializeToString(), step=epoch.epoch)
    writer.close()
