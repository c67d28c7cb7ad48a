"""Settings of hypercorn: it would end every connection after 1,000 requests."""

keep_alive_max_requests = 1_000_000_000
