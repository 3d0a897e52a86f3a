//! The loop: input, machine, journal, effect.
