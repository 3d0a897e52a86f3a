//! Inventory, stanza, repository, backup set and their dependencies.
