//! Which backup set serves a target.
