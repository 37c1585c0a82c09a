"""A real Apache Kafka broker without Docker, for developers, tests and benches. It is not part of the product."""
