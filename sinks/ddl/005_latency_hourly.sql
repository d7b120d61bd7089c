-- How long finished requests took, per hour in which they were produced. A request counts once, under the model and
-- route that ended it: `provider` is the time of all its attempts, `added` the rest of the total, `queue` the wait for
-- its first attempt. Requests without an attempt have no provider or queue time and do not weigh on those columns.

CREATE OR REPLACE VIEW {database}.latency_hourly
SQL SECURITY INVOKER
AS SELECT
    toStartOfHour(produced_at) AS hour,
    tenant_id,
    model,
    route,
    count() AS requests,
    quantileExact(0.5)(request_total_ms) AS total_p50_ms,
    quantileExact(0.95)(request_total_ms) AS total_p95_ms,
    quantileExact(0.99)(request_total_ms) AS total_p99_ms,
    quantileExact(0.5)(request_provider_ms) AS provider_p50_ms,
    quantileExact(0.95)(request_provider_ms) AS provider_p95_ms,
    quantileExact(0.99)(request_provider_ms) AS provider_p99_ms,
    quantileExact(0.5)(request_added_ms) AS added_p50_ms,
    quantileExact(0.95)(request_added_ms) AS added_p95_ms,
    quantileExact(0.99)(request_added_ms) AS added_p99_ms,
    quantileExact(0.5)(request_queue_ms) AS queue_p50_ms,
    quantileExact(0.95)(request_queue_ms) AS queue_p95_ms,
    quantileExact(0.99)(request_queue_ms) AS queue_p99_ms
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
        min(queue_ms) AS request_queue_ms
    FROM {database}.calls AS calls
    GROUP BY tenant_id, produced_at, request_id
    HAVING max(is_final)
)
GROUP BY hour, tenant_id, model, route;
