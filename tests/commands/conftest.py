"""An operator to run, against a sandbox with a small cohort."""

from fakes.running_operator import running_sandbox, sandbox, sync, ti

__all__ = ["running_sandbox", "sandbox", "sync", "ti"]
