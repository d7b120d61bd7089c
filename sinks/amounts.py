"""Calls and what was added to them since, one amount a line, as a table to select from: a sum over it is what is owed.

`unknown` counts calls whose cost nobody knows, and an adjustment that made one known takes it off again.
"""

AMOUNTS = """
(
    SELECT
        produced_at, tenant_id, user_id, feature, coalesce(model_used, model_requested) AS model, provider, deployment,
        labels, is_final AS is_request, attempt_no > 0 AS is_attempt,
        uncached_input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + image_input_tokens
            + audio_input_tokens AS input_tokens,
        text_output_tokens + reasoning_tokens + audio_output_tokens AS output_tokens,
        cost_total_usd AS cost, saved_usd AS saved, toInt8(cost_total_usd IS NULL) AS unknown
    FROM {database:Identifier}.call_rows FINAL
    UNION ALL
    SELECT
        produced_at, tenant_id, user_id, feature, model, provider, deployment, labels, false, false, 0, 0,
        toNullable(delta_usd), NULL, -toInt8(before_usd IS NULL)
    FROM {database:Identifier}.adjustments FINAL
)
"""
