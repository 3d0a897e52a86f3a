//! The only floor that touches the machine: processes, files, sockets, clocks.

pub mod ask;
pub mod checks;
pub mod client;
pub mod clock;
pub mod drill_directory;
pub mod drills;
pub mod environment;
pub mod facts;
pub mod identity;
pub mod journal;
pub mod look;
pub mod paths;
pub mod pgbackrest;
pub mod pgbackrest_config;
pub mod postgres;
pub mod processes;
pub mod progress;
pub mod proposal;
pub mod rehearsal;
pub mod replace_file;
pub mod runner;
pub mod step_process;
pub mod store;
pub mod surroundings;
pub mod tail;
pub mod watch;
