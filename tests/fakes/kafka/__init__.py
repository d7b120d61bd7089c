"""A Kafka cluster in memory, with virtual time: as much of one as the runtime uses."""
