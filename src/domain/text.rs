//! Text from outside, cleaned once on the way in.
