"""DuckDB in bounded memory, the files that it reads and writes, and the scratch folder they are in."""
