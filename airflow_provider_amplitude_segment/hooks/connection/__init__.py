"""What both hooks share: an Airflow connection in, an endpoint and a session out."""
