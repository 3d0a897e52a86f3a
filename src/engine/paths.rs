//! Where state and sockets live.
