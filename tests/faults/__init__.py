"""The fault run: seeded histories of several syncs against the sandbox over real HTTP, with faults drawn at random.

``make faults`` plays them and compares what Segment believes at the end with the cohort and with the ledger. Clients,
store and core are the package's own; only time is virtual, and each try of a run is a process that can be killed or
paused between any two steps.
"""
