//! Reading pgBackRest's configuration.
