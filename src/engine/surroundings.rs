//! What checks and facts are read with: the programs a plan names, and the servers of its run that live.

use crate::domain::event::RunId;
use crate::domain::plan::Plan;
use crate::engine::environment::BaseEnvironment;
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError};
use crate::engine::postgres::{PostgresError, PostgresPrograms};
use std::collections::BTreeMap;
use std::path::Path;

/// The programs and processes that a run's questions go to.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// pgBackRest, as the plan names it.
    pub pgbackrest: Pgbackrest,
    /// PostgreSQL's programs, as the plan names them.
    pub postgres: PostgresPrograms,
    /// The environment of every question; holds secrets.
    pub environment: BTreeMap<String, String>,
    /// The run, once there is one.
    pub run: Option<RunId>,
    /// The main processes of this run's living servers, by the step that started them.
    pub servers: BTreeMap<String, u32>,
}

/// Why the programs can't be asked any more.
#[derive(Debug, thiserror::Error)]
pub enum SurroundingsError {
    /// The plan does not name a program.
    #[error("the plan does not say which {0} it is for")]
    NotNamed(&'static str),
    /// pgBackRest is gone.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// PostgreSQL's programs are gone.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

/// The sealed fact with pgBackRest's program.
pub const PGBACKREST: &str = "pgbackrest";
/// The sealed fact with its configuration file; empty for its default.
pub const PGBACKREST_CONFIG: &str = "pgbackrest-config";
/// The sealed fact with the folder of PostgreSQL's programs.
pub const POSTGRES_BIN: &str = "postgres-bin";

impl Surroundings {
    /// The surroundings of a plan.
    ///
    /// # Errors
    /// [`SurroundingsError`] when a program it names is not there any more.
    pub fn of_plan(
        plan: &Plan,
        run: &RunId,
        environment: &BaseEnvironment,
        servers: BTreeMap<String, u32>,
    ) -> Result<Surroundings, SurroundingsError> {
        let environment = planned_environment(plan, environment);
        let named = |fact: &'static str| plan.facts.identity.get(fact).ok_or(SurroundingsError::NotNamed(fact));
        let config = Some(named(PGBACKREST_CONFIG)?).filter(|path| !path.is_empty());
        let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let pgbackrest = Pgbackrest::locate(Some(Path::new(named(PGBACKREST)?)), config.map(Path::new), variables)?;
        let postgres = PostgresPrograms::at(Path::new(named(POSTGRES_BIN)?), &environment)?;
        Ok(Surroundings { pgbackrest, postgres, environment, run: Some(run.clone()), servers })
    }
}

/// What the plan's own commands get: its environment, with the secrets of this process. Another shell that goes on with the
/// run may have other `PGBACKREST_*` variables, or none, and would look at another configuration.
fn planned_environment(plan: &Plan, environment: &BaseEnvironment) -> BTreeMap<String, String> {
    let is_secret = |name: &String| plan.secret_environment.contains(name);
    let here = environment.real.iter().filter(|(name, _)| is_secret(name) || !name.starts_with("PGBACKREST_"));
    let planned = plan.environment.iter().filter(|(name, _)| !is_secret(name));
    here.chain(planned).map(|(name, value)| (name.clone(), value.clone())).collect()
}
