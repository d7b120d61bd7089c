-- What went wrong, per hour in which the request was produced. `share` is of all calls of that tenant to that model in
-- that hour, failed attempts that a fallback made good included.

CREATE OR REPLACE VIEW {database}.errors_hourly
SQL SECURITY INVOKER
AS SELECT
    hour,
    tenant_id,
    model,
    error_class,
    http_status,
    status,
    errors,
    calls,
    errors / calls AS share
FROM
(
    SELECT
        toStartOfHour(produced_at) AS hour,
        tenant_id,
        model,
        error_class,
        http_status,
        status,
        count() AS errors,
        sum(count()) OVER (PARTITION BY hour, tenant_id, model) AS calls
    FROM {database}.calls
    GROUP BY hour, tenant_id, model, error_class, http_status, status
)
WHERE error_class IS NOT NULL;
