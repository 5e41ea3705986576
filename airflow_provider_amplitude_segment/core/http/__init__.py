"""HTTP as core knows it: whole bodies, waits between retries, and the causes of network faults."""
