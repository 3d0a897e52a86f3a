//! Captured values out of a step's output.
