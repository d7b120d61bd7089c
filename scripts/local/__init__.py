"""A whole Millrace on this machine: broker, ClickHouse, provider simulator and every stage, in one folder."""
