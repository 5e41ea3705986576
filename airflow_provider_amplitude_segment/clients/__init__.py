"""What talks to the outside: Amplitude, Segment and the place the ledger is kept; no Airflow."""
