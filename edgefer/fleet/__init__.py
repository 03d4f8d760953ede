"""Boards reached from a workstation over SSH: registry, connections, provisioning and benchmarks."""
