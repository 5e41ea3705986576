"""How the result of a task reaches Airflow: XCom, log, metrics, assets, lineage, progress."""
