"""`make bench`: what a request costs here, beside the least it could cost and beside others, in one run."""
