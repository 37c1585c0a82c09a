"""The kernel: what every other room stands on. It imports nothing of ours from above it."""
