"""One frame through the stages: slots, worker, ledger, latencies, detector."""
