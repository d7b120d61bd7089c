"""Schedules of the runtime on a cluster in memory: every one is a pure function of its seed."""
