"""An app with a job table, as every service has one."""
