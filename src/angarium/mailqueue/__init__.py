"""The durable mail queue."""
