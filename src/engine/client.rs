//! The door to runs for everything above: follow a journal, send a request.
