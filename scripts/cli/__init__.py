"""The `millrace` command line: one module per command, and the pure parts they rest on beside them."""
