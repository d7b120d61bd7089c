"""An outsider who asks without waiting for answers: arrivals, tenants, kinds of request, all drawn from one seed."""
