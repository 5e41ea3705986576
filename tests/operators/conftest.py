"""An operator to run, against a sandbox with a small cohort."""

from fakes.running_operator import retire, running_sandbox, sandbox, sync, ti, verify

__all__ = ["retire", "running_sandbox", "sandbox", "sync", "ti", "verify"]
