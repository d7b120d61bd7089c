"""The network between the parts of a run: one gate before each broker, ClickHouse and the provider."""
