"""The benchmarks: how fast, how lean and how even the package is, beside its peers and beside the limit.

``make bench`` runs them; nothing here is a timed test.
"""
