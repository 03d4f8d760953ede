"""A Ray cluster of two nodes on this machine: print its address, and lose the second node at a line on stdin."""

import logging
import os
import sys

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_CHDIR_TO_TRIAL_DIR="0")

from ray.cluster_utils import Cluster

logging.getLogger("ray").setLevel(logging.CRITICAL)
NODE = {"num_cpus": 1, "memory": 4 * 2**30, "object_store_memory": 80 * 2**20, "include_dashboard": False}

cluster = Cluster(initialize_head=True, connect=False, head_node_args=NODE)
second = cluster.add_node(**{**NODE, "resources": {"second": 1}})
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
