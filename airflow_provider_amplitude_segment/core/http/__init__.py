"""HTTP as core knows it: whole bodies, base URLs, waits between retries, and the causes of network faults."""
