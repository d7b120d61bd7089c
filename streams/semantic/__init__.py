"""Questions that mean the same: what is compared, by what it is guarded, and how a sentence becomes a vector."""
