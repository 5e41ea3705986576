"""The subjects that are measured, each a program: ``python -m benchmarks.subjects.<name> '<order as JSON>'``."""
