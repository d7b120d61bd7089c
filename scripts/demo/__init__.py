"""`make demo`: everything once on this machine, with real requests, and a look at what it did."""
