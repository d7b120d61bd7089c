"""A provider that costs nothing: OpenAI's and Anthropic's protocols over HTTP, with faults on demand and a bill.

Nothing here imports the gateway, so its token counts and its bill are an independent oracle.
"""
