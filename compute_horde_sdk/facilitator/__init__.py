"""The facilitator's HTTP API: login, signed requests, status updates and logs of jobs."""
