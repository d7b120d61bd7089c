"""The shell of the invoke stage: thousands of calls in flight on one event loop, finished in any order."""
