"""`make tour`: what Millrace does when things go wrong, or could be had for less, each shown on the running system."""
