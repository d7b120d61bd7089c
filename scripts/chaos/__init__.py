"""The whole system under load while everything about it is broken, by a schedule drawn from a seed."""
