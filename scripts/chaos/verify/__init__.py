"""Recomputes from the topics, the tables and the provider's bill what must be true, and believes nobody else.

Facts (`facts`, read by `reading`) come in the order of each partition; what lies outside the topics comes as snapshots
(`snapshot`), each held back until the topics have been read as far as they reached when it was taken. Invariants fold
both and never ask the world anything.
"""
