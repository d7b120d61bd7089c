-- Money and tokens per UTC day of the request. Every column that counts or sums may be summed again.
-- `cost_usd` adds up what is known, and is NULL where nothing is; `cost_unknown` counts the attempts it leaves out.

CREATE OR REPLACE VIEW {database}.cost_daily
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    user_id,
    feature,
    model,
    provider,
    countIf(is_final) AS requests,
    countIf(attempt_no > 0) AS attempts,
    sum(calls.uncached_input_tokens) AS uncached_input_tokens,
    sum(calls.cache_read_tokens) AS cache_read_tokens,
    sum(calls.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(calls.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(calls.image_input_tokens) AS image_input_tokens,
    sum(calls.audio_input_tokens) AS audio_input_tokens,
    sum(calls.text_output_tokens) AS text_output_tokens,
    sum(calls.reasoning_tokens) AS reasoning_tokens,
    sum(calls.audio_output_tokens) AS audio_output_tokens,
    sum(calls.cost_usd) AS cost_usd,
    sum(calls.saved_usd) AS saved_usd,
    countIf(calls.cost_usd IS NULL) AS cost_unknown,
    countIf(cost_status = 'unpriced') AS unpriced,
    countIf(cost_status = 'unknown_billable') AS unknown_billable,
    countIf(cost_status = 'estimated') AS estimated
FROM {database}.calls AS calls
GROUP BY day, tenant_id, user_id, feature, model, provider;
