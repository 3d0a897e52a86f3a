//! However the console ends, the terminal is as it was.
