"""A provider that costs next to nothing, so that it is never what is measured."""
