"""The published contracts: every event, row and topic of Millrace. Imports nothing else of ours."""
