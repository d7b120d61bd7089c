"""What Millrace is configured with for a bench: tenants without narrow limits, and one provider that costs nothing."""

from collections.abc import Sequence
from hashlib import sha256

from scripts.bench.mix import KEY


def configuration(tenants: Sequence[str], provider_url: str, in_flight: int) -> str:
    """TOML. Limits are there, and are weighed, but too wide to be met."""
    key = sha256(KEY.encode()).hexdigest()
    objects = [
        f"""
[[tenant]]
name = "{name}"
key_sha256 = ["{key}"]
limits = {{ requests_per_minute = 100_000_000, tokens_per_minute = 1_000_000_000_000 }}
user_limits = {{ requests_per_minute = 10_000_000 }}
"""
        for name in tenants
    ]
    return f"""# Written by the bench.
{"".join(objects)}
[[deployment]]
name = "bench"
provider = "openai"
base_url = "{provider_url}"
key_ref = "openai_api_key"
max_concurrency = {in_flight}

[deployment.models]
"gpt-4o-mini" = "gpt-4o-mini"

[[route]]
name = "bench"
models = ["gpt-4o-mini"]
targets = [{{ deployment = "bench" }}]
timeout_ms = {{ high = 60_000, normal = 60_000, low = 60_000 }}
"""
