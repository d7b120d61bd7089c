"""The stages, the runtime they share, the providers, and the watch app."""
