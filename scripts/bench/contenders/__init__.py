"""Who is measured beside us: the least that could be done, bare hops, Faust, and LiteLLM's proxy."""
