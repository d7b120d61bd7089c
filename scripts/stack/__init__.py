"""The embedded stack: a real Kafka broker and the supervision of everything that runs beside it, without Docker."""
