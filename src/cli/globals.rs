//! The options that every subcommand takes, and that of the console.

use std::path::PathBuf;

/// Options that every subcommand takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Globals {
    /// Settings file (default: /etc/lifeboat/lifeboat.toml, else lifeboat/lifeboat.toml in the user's configuration directory).
    #[arg(long, global = true, value_name = "FILE", env = "LIFEBOAT_SETTINGS")]
    pub settings: Option<PathBuf>,
    /// The pgbackrest program.
    #[arg(long, global = true, value_name = "FILE")]
    pub pgbackrest: Option<PathBuf>,
    /// pgBackRest's configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    pub pgbackrest_config: Option<PathBuf>,
    /// The stanza.
    #[arg(long, global = true, value_name = "NAME")]
    pub stanza: Option<String>,
    /// Show ASCII only (default: where the locale is not UTF-8, and on the kernel's console).
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Change nothing: no run is begun or answered, no SQL runs, nothing is stored. Commands that would are refused.
    #[arg(long, global = true)]
    pub read_only: bool,
    /// Record the console's session as an asciicast: what is shown, nothing that is typed. It writes over no file.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}
