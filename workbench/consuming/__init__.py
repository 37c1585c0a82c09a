"""What the consumer process tells of itself, to people and to Prometheus."""
