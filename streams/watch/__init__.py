"""Health of every deployment across the fleet, spend of every tenant, alerts: a Faust app beside the request path.

It may lag, stop or lose its data directory without delaying a request or losing a row: `llm.calls` and `llm.control`
are the only memory it trusts.
"""
