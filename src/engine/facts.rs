//! Facts of a plan, read from the machine.
