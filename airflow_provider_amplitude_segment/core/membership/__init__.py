"""From an export's file to the distinct user IDs of a cohort."""
