//! TOML to runbook.
