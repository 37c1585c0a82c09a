"""The conformance kit: what readers of published figures may rely on, asked of several ways to publish them."""
