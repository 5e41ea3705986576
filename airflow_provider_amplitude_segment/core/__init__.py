"""The rules and the pipeline, in the data's order; no Airflow, no HTTP."""
