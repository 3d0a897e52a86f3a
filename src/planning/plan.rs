//! Plans: binding, sealing, amending.
