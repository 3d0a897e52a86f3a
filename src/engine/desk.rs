//! What the settings lead to: pgBackRest, the state directory, who asks and where; and the begin of a run. The same for
//! the command line and the console.

use crate::domain::event::{Host, Operator};
use crate::domain::text;
use crate::engine::client::{self, ClientError};
use crate::engine::environment::{BaseEnvironment, EnvironmentError};
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::proposal::Proposal;
use crate::engine::runner::{RunnerError, targets};
use crate::engine::store::{RunFolder, Store, StoreError};
use crate::engine::{identity, paths};
use crate::settings::Settings;

/// Why something of this host can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The real pgbackrest.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// The state or runtime directory.
    #[error(transparent)]
    Path(#[from] paths::PathError),
    /// What lies in the state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory a run would work in.
    #[error(transparent)]
    Target(#[from] RunnerError),
    /// The run's runner.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The real pgbackrest.
///
/// # Errors
/// When it is not installed or its configuration can't be read.
pub fn pgbackrest(settings: &Settings) -> Result<Pgbackrest, DeskError> {
    let environment = BaseEnvironment::from_process()?;
    let settings = &settings.pgbackrest;
    let variables = environment.real.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(Pgbackrest::locate(Some(&settings.binary), settings.config.as_deref(), variables)?)
}

/// The state directory; made where it is missing.
///
/// # Errors
/// When it can't be made, written, or belongs to somebody else.
pub fn store(settings: &Settings) -> Result<Store, DeskError> {
    let directory = paths::ensure_state_directory(settings)?;
    Ok(Store::open(&directory)?)
}

/// The state directory, to look at it; `None` when there is none yet.
///
/// # Errors
/// When it can't be read or belongs to somebody else.
pub fn existing_store(settings: &Settings) -> Result<Option<Store>, DeskError> {
    Ok(Store::existing(&paths::state_directory(settings)?)?)
}

/// What takes the configuration's secrets out of a text. Without a configuration those of the environment.
#[must_use]
pub fn redactor(settings: &Settings) -> Box<dyn Fn(&str) -> String + Send> {
    let variables = BaseEnvironment::from_process().map(|environment| environment.real).unwrap_or_default();
    let config = BackrestConfig::load(settings.pgbackrest.config.as_deref(), &variables)
        .unwrap_or_else(|_| BackrestConfig::of_environment(&variables));
    Box::new(move |text| config.redact(text))
}

/// The person who asks.
#[must_use]
pub fn operator() -> Operator {
    Operator { name: text::clean(&identity::operator_name()), uid: rustix::process::geteuid().as_raw() }
}

/// This machine.
#[must_use]
pub fn host() -> Host {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let machine_id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Host { name: text::clean(&name), machine_id: text::clean(machine_id.trim()) }
}

/// Begins a run of a proposal: from here on it belongs to its runner.
///
/// # Errors
/// When another run works in the same directory, the state directory can't take it, or no runner can be started.
pub fn begin(settings: &Settings, proposal: Proposal) -> Result<RunFolder, DeskError> {
    let store = store(settings)?;
    let size = proposal.restores_beside(store.root());
    // Before the run is made: without a socket nobody could answer its gates.
    let socket = paths::socket_path(settings, &proposal.run)?;
    // Asked before there is a run to list; its runner takes the lock for itself and keeps it.
    targets::may_begin(&store, &proposal.plan)?;
    let (folder, _, _) = store.create_run(proposal.run, proposal.plan, operator(), host(), size)?;
    client::ensure_runner(&folder, &socket)?;
    Ok(folder)
}
