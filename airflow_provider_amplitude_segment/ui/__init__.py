"""The pages *Cohort syncs* and *Cohort sync* inside Airflow 3.1 and later, and the read-only routes behind them."""
