-- The groups that are rolled up, computed from the rows: what `call_days` is made of, and what the views show of a day
-- that is stale. Adjustments count as money and as nothing else; one that says what a call cost of which nobody knew
-- takes it out of `cost_unknown`.

CREATE OR REPLACE VIEW {database}.spending_of_rows
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    user_id,
    feature,
    model,
    provider,
    sum(is_final) AS requests,
    sum(is_attempt) AS attempts,
    sum(uncached_input) AS uncached_input_tokens,
    sum(cache_read) AS cache_read_tokens,
    sum(cache_write_5m) AS cache_write_5m_tokens,
    sum(cache_write_1h) AS cache_write_1h_tokens,
    sum(image_input) AS image_input_tokens,
    sum(audio_input) AS audio_input_tokens,
    sum(text_output) AS text_output_tokens,
    sum(reasoning) AS reasoning_tokens,
    sum(audio_output) AS audio_output_tokens,
    sum(cost) AS cost_usd,
    sum(charged) AS charged_usd,
    sum(listed) AS list_cost_usd,
    sum(wasted) AS wasted_usd,
    sum(saved) AS saved_usd,
    sum(unknown) AS cost_unknown,
    sum(is_unpriced) AS unpriced,
    sum(is_unknown_billable) AS unknown_billable,
    sum(is_estimated) AS estimated
FROM
(
    SELECT
        day,
        tenant_id,
        user_id,
        feature,
        model,
        provider,
        toUInt8(is_final) AS is_final,
        attempt_no > 0 AS is_attempt,
        uncached_input_tokens AS uncached_input,
        cache_read_tokens AS cache_read,
        cache_write_5m_tokens AS cache_write_5m,
        cache_write_1h_tokens AS cache_write_1h,
        image_input_tokens AS image_input,
        audio_input_tokens AS audio_input,
        text_output_tokens AS text_output,
        reasoning_tokens AS reasoning,
        audio_output_tokens AS audio_output,
        cost_usd AS cost,
        charged_usd AS charged,
        coalesce(list_cost_usd, cost_usd) AS listed,
        wasted_usd AS wasted,
        saved_usd AS saved,
        toInt8(cost_usd IS NULL) AS unknown,
        cost_status = 'unpriced' AS is_unpriced,
        cost_status = 'unknown_billable' AS is_unknown_billable,
        cost_status = 'estimated' AS is_estimated
    FROM {database}.calls
    UNION ALL
    SELECT
        toDate(produced_at) AS day,
        tenant_id,
        user_id,
        feature,
        model,
        provider,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        CAST(delta_usd AS Nullable(Decimal(18, 9))), NULL, NULL, NULL, NULL,
        -toInt8(before_usd IS NULL AND attempt_id != ''),
        0, 0, 0
    FROM {database}.adjustments FINAL
    WHERE reason != 'withdrawn'
)
GROUP BY day, tenant_id, user_id, feature, model, provider;

CREATE OR REPLACE VIEW {database}.labels_of_rows
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    label,
    value,
    sum(is_final) AS requests,
    sum(is_attempt) AS attempts,
    sum(input) AS input_tokens,
    sum(output) AS output_tokens,
    sum(cost) AS cost_usd,
    sum(charged) AS charged_usd,
    sum(saved) AS saved_usd,
    sum(unknown) AS cost_unknown
FROM
(
    SELECT
        day,
        tenant_id,
        labels,
        toUInt8(is_final) AS is_final,
        attempt_no > 0 AS is_attempt,
        input_tokens AS input,
        output_tokens AS output,
        cost_usd AS cost,
        charged_usd AS charged,
        saved_usd AS saved,
        toInt8(cost_usd IS NULL) AS unknown
    FROM {database}.calls
    UNION ALL
    SELECT
        toDate(produced_at) AS day,
        tenant_id,
        labels,
        0, 0, 0, 0,
        CAST(delta_usd AS Nullable(Decimal(18, 9))), NULL, NULL,
        -toInt8(before_usd IS NULL AND attempt_id != '')
    FROM {database}.adjustments FINAL
    WHERE reason != 'withdrawn'
)
ARRAY JOIN mapKeys(labels) AS label, mapValues(labels) AS value
GROUP BY day, tenant_id, label, value;

CREATE OR REPLACE VIEW {database}.outcomes_of_rows
SQL SECURITY INVOKER
AS SELECT
    day,
    hour,
    tenant_id,
    model,
    provider,
    service_tier,
    status,
    error_class,
    http_status,
    cache,
    sum(is_row) AS rows,
    sum(is_final) AS requests,
    sum(is_attempt) AS attempts,
    sum(input) AS input_tokens,
    sum(output) AS output_tokens,
    sum(cost) AS cost_usd,
    sum(list_cost) AS list_cost_usd,
    sum(booked) AS booked_usd,
    sum(saved) AS saved_usd,
    sum(unknown) AS cost_unknown
FROM
(
    SELECT
        day,
        toStartOfHour(produced_at) AS hour,
        tenant_id,
        model,
        provider,
        service_tier,
        status,
        error_class,
        http_status,
        cache,
        1 AS is_row,
        toUInt8(is_final) AS is_final,
        attempt_no > 0 AS is_attempt,
        input_tokens AS input,
        output_tokens AS output,
        cost_usd AS cost,
        list_cost_usd AS list_cost,
        if(list_cost_usd IS NULL, NULL, cost_usd) AS booked,
        saved_usd AS saved,
        toInt8(cost_usd IS NULL) AS unknown
    FROM {database}.calls
    UNION ALL
    SELECT
        toDate(produced_at) AS day,
        toStartOfHour(produced_at) AS hour,
        tenant_id,
        model,
        provider,
        NULL, NULL, NULL, NULL, 'none',
        0, 0, 0, 0, 0,
        CAST(delta_usd AS Nullable(Decimal(18, 9))), NULL, NULL, NULL,
        -toInt8(before_usd IS NULL AND attempt_id != '')
    FROM {database}.adjustments FINAL
    WHERE reason != 'withdrawn'
)
GROUP BY day, hour, tenant_id, model, provider, service_tier, status, error_class, http_status, cache;

-- A finished request counts once, under the model and route that ended it: `provider` is the time of all its attempts,
-- `added` the rest of the total, `queue` the wait for its first attempt. Each array has the 50th, 95th and 99th
-- percentile. A stage's time is from the stamp of the one before it to its own.
CREATE OR REPLACE VIEW {database}.latency_of_rows
SQL SECURITY INVOKER
AS SELECT
    toDate(produced_at) AS day,
    toStartOfHour(produced_at) AS hour,
    tenant_id,
    model,
    route,
    count() AS requests,
    CAST(quantilesExactOrNull(0.5, 0.95, 0.99)(request_total_ms) AS Array(Nullable(Int64))) AS total_ms,
    CAST(quantilesExactOrNull(0.5, 0.95, 0.99)(request_provider_ms) AS Array(Nullable(Int64))) AS provider_ms,
    CAST(quantilesExactOrNull(0.5, 0.95, 0.99)(request_added_ms) AS Array(Nullable(Int64))) AS added_ms,
    CAST(quantilesExactOrNull(0.5, 0.95, 0.99)(request_queue_ms) AS Array(Nullable(Int64))) AS queue_ms,
    CAST(quantilesExactOrNull(0.5, 0.95, 0.99)(request_first_token_ms) AS Array(Nullable(Int64))) AS first_token_ms,
    [
        quantileExact(0.95)(validate_ms),
        quantileExact(0.95)(limit_ms),
        quantileExact(0.95)(cache_ms),
        quantileExact(0.95)(route_ms),
        quantileExact(0.95)(invoke_ms),
        quantileExact(0.95)(postprocess_ms)
    ] AS stages_p95_ms
FROM
(
    SELECT
        tenant_id,
        produced_at,
        request_id,
        anyIf(calls.model, is_final) AS model,
        anyIf(calls.route, is_final) AS route,
        maxIf(total_ms, is_final) AS request_total_ms,
        sum(provider_ms) AS request_provider_ms,
        request_total_ms - ifNull(request_provider_ms, 0) AS request_added_ms,
        min(queue_ms) AS request_queue_ms,
        minIf(first_token_ms, is_final) AS request_first_token_ms,
        maxIf(validated_at, is_final) AS validated_ms,
        maxIf(limited_at, is_final) AS limited_ms,
        maxIf(looked_up_at, is_final) AS looked_up_ms,
        maxIf(routed_at, is_final) AS routed_ms,
        maxIf(invoked_at, is_final) AS invoked_ms,
        validated_ms AS validate_ms,
        limited_ms - validated_ms AS limit_ms,
        looked_up_ms - limited_ms AS cache_ms,
        routed_ms - looked_up_ms AS route_ms,
        invoked_ms - routed_ms AS invoke_ms,
        request_total_ms - coalesce(invoked_ms, looked_up_ms, limited_ms, validated_ms) AS postprocess_ms
    FROM
    (
        SELECT
            *,
            if(mapContains(stage_ms, 'validate'), stage_ms['validate'], NULL) AS validated_at,
            if(mapContains(stage_ms, 'limit'), stage_ms['limit'], NULL) AS limited_at,
            if(mapContains(stage_ms, 'cache'), stage_ms['cache'], NULL) AS looked_up_at,
            if(mapContains(stage_ms, 'route'), stage_ms['route'], NULL) AS routed_at,
            if(mapContains(stage_ms, 'invoke'), stage_ms['invoke'], NULL) AS invoked_at
        FROM {database}.calls
    ) AS calls
    GROUP BY tenant_id, produced_at, request_id
    HAVING max(is_final)
)
GROUP BY day, hour, tenant_id, model, route;

CREATE OR REPLACE VIEW {database}.minutes_of_rows
SQL SECURITY INVOKER
AS SELECT
    day,
    minute,
    tenant_id,
    sum(is_final) AS requests,
    sum(is_attempt) AS attempts,
    sum(is_error) AS errors,
    sum(input) AS input_tokens,
    sum(output) AS output_tokens,
    sum(cost) AS cost_usd,
    sum(unknown) AS cost_unknown
FROM
(
    SELECT
        day,
        toStartOfMinute(produced_at) AS minute,
        tenant_id,
        toUInt8(is_final) AS is_final,
        attempt_no > 0 AS is_attempt,
        error_class IS NOT NULL AS is_error,
        input_tokens AS input,
        output_tokens AS output,
        cost_usd AS cost,
        toInt8(cost_usd IS NULL) AS unknown
    FROM {database}.calls
    UNION ALL
    SELECT
        toDate(produced_at) AS day,
        toStartOfMinute(produced_at) AS minute,
        tenant_id,
        0, 0, 0, 0, 0,
        CAST(delta_usd AS Nullable(Decimal(18, 9))),
        -toInt8(before_usd IS NULL AND attempt_id != '')
    FROM {database}.adjustments FINAL
    WHERE reason != 'withdrawn'
)
GROUP BY day, minute, tenant_id;
