//! A plan for what a person wishes: reads the machine, lets planning choose and bind, starts nothing.

use crate::domain::event::RunId;
use crate::domain::inventory::{Inventory, RepositoryKey, Stanza, SystemId};
use crate::domain::label::{BackupLabel, LabelError};
use crate::domain::plan::Plan;
use crate::domain::wal::TimelineId;
use crate::engine::drill_directory::DrillDirectory;
use crate::engine::environment::{BaseEnvironment, EnvironmentError};
use crate::engine::facts::{self, Subject};
use crate::engine::ground::histories;
use crate::engine::look::{self, LookError};
use crate::engine::outlook::{self, Outlook, Unfilled};
pub use crate::engine::outlook::{Filling, Waiting};
use crate::engine::paths::{self, PathError};
use crate::engine::pgbackrest::Pgbackrest;
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use crate::engine::placed::{self, WalAtHand};
use crate::engine::postgres::{PostgresError, PostgresPrograms};
use crate::engine::production::Production;
use crate::engine::store::Store;
use crate::engine::surroundings::Surroundings;
use crate::engine::{clock, identity, leftovers};
use crate::planning::plan::{BindError, KnownFacts, bind};
use crate::planning::restore_command::{WordError, restore_command};
use crate::planning::runbook::{Action, DefaultValue, Runbook};
use crate::planning::selection::{self, Choice, Refusal, Wish};
use crate::planning::target::{RecoveryTarget, TargetAction, TargetError, understand};
use crate::settings::Settings;
use chrono::Utc;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The port is part of a socket's name only: the drill's server has a socket directory of its own and no TCP.
const PORT: &str = "5432";

/// The fact that names the newest kept cluster.
const KEPT_RECORD: &str = "kept-record";

/// The fact that names what starts and stops production.
const MANAGER: &str = "manager";

/// A plan, and what is needed to begin a run of it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The run that it would be; its name is in the drill directory's path.
    pub run: RunId,
    /// The sealed plan.
    pub plan: Plan,
    /// Why this set.
    pub choice: Choice,
    /// What the target keeps and what it throws away, in words, where the runbook shows it.
    pub outlook: Option<Outlook>,
    directory: PathBuf,
    database_bytes: u64,
}

impl Proposal {
    /// A proposal whose restore goes below `directory` and writes so many bytes there.
    #[must_use]
    pub fn new(run: RunId, plan: Plan, choice: Choice, directory: PathBuf, database_bytes: u64) -> Proposal {
        Proposal { run, plan, choice, outlook: None, directory, database_bytes }
    }

    /// What the restore will write, where it goes to the file system of `state`.
    #[must_use]
    pub fn restores_beside(&self, state: &Path) -> Option<u64> {
        let device =
            |path: &Path| path.ancestors().find_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.dev());
        (device(state) == device(&self.directory)).then_some(self.database_bytes)
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// Several stanzas, none named.
    #[error("there are several stanzas ({0}): name one with --stanza")]
    WhichStanza(String),
    /// None at all.
    #[error("the configuration has no stanza: a section with pg1-path is one; name one with --stanza")]
    NoStanza,
    /// The inventory.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A parameter.
    #[error("-p {name}={value}: {why}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No set serves.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// PostgreSQL's programs.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The state directory.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path that a shell would read otherwise.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The operating system gives no random name.
    #[error("a name for the run can't be drawn: {0}")]
    Name(std::io::Error),
    /// The accident that was named gives no target.
    #[error("{0}")]
    Accident(String),
    /// A cluster manager would start the server again, or have another node take over.
    #[error("{0}\nNothing was planned or changed")]
    Managed(String),
    /// The search for it was broken off.
    #[error("the search for the accident was broken off: there is no plan, and nothing was changed")]
    BrokenOff,
    /// The runbook can't be bound.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Bind(Vec<BindError>),
}

/// Makes a plan: which set, which steps, with everything resolved.
///
/// # Errors
/// [`ProposalError`], with what to do instead. Nothing was changed in any case.
///
/// `waiting` hears of the search for an accident that is named instead of a target, and may end it.
pub fn propose(
    settings: &Settings,
    pgbackrest: &Pgbackrest,
    runbook: &Runbook,
    given: &BTreeMap<String, String>,
    waiting: &mut Waiting<'_>,
) -> Result<Proposal, ProposalError> {
    let environment = BaseEnvironment::from_process()?;
    let config = pgbackrest.configuration()?;
    let stanza_name = stanza_name(settings, &config, given)?;
    let mut given = given.clone();
    outlook::fill(settings, runbook, &stanza_name, &mut given, waiting).map_err(|unfilled| match unfilled {
        Unfilled::BrokenOff => ProposalError::BrokenOff,
        Unfilled::Why(why) => ProposalError::Accident(why),
    })?;
    let given = &given;
    let inventory = look::inventory(pgbackrest, Some(&stanza_name))?;
    let stanza = inventory.stanza(&stanza_name).ok_or(ProposalError::NoStanza)?;
    let production = config.pg1_path(&stanza_name).filter(|path| path.join("global/pg_control").exists());
    let (target, given) = &target(settings, given)?;
    let any_version = newest_version(stanza);
    let bin = settings.postgres.bin_directory.as_deref();
    let programs = PostgresPrograms::find(bin, &any_version, &environment.real)?;
    let control = production.as_deref().and_then(|path| programs.control_data(path, &environment.real).ok());
    let wish = Wish {
        repository: number(given, "repository")?.map(RepositoryKey),
        set: label(given)?,
        target: target.clone(),
        timeline: number(given, "timeline")?.map(TimelineId),
        production_timeline: control.as_ref().map(|control| TimelineId(control.timeline)),
        production_system: control.as_ref().map(|control| SystemId(control.system_identifier)),
    };
    let histories = histories(pgbackrest, stanza);
    if replaces_production(runbook) {
        // Before a set is looked for: it would be refused for a reason that helps nobody.
        selection::lies_in_history(&wish, &histories)?;
    }
    let pg_wal: Vec<PathBuf> = production.iter().map(|data| data.join("pg_wal")).collect();
    let at_hand = WalAtHand {
        pgbackrest,
        postgres: &programs,
        environment: &environment.real,
        directories: &pg_wal,
        below: &std::env::temp_dir(),
    };
    let choice = placed::choose(stanza, &wish, &histories, &at_hand)?;
    if replaces_production(runbook) {
        placed::lies_in_history(stanza, &wish, &choice, &histories, &at_hand)?;
    }
    let run = clock::random_run_id().map_err(ProposalError::Name)?;
    let drills = match &settings.drill.directory {
        Some(directory) => directory.clone(),
        None => paths::state_directory(settings)?.join("drills"),
    };
    let directory = given.get("directory").map_or_else(|| drills.join(run.as_str()), PathBuf::from);
    let surroundings = Surroundings {
        pgbackrest: pgbackrest.clone(),
        postgres: programs,
        environment: environment.real.clone(),
        run: Some(run.clone()),
        servers: BTreeMap::new(),
    };
    let subject = Subject {
        stanza: stanza_name,
        repository: choice.repository,
        set: choice.set,
        timeline: choice.timeline.0,
        production: production.map(|path| path.display().to_string()),
    };
    let mut sealed = facts::of(&surroundings, Some(&subject), Some(&inventory));
    sealed.identity.insert("runbook".to_owned(), runbook.digest().to_string());
    let found = Production::find(&config, &subject.stanza, &surroundings.postgres, &environment.real);
    if let Some(production) = &found {
        stands_down(runbook, given, production)?;
    }
    let mut known_texts = texts(settings, &surroundings, &subject, &inventory, target, &run, &directory);
    let own = found.iter().flat_map(Production::texts);
    let outlook = outlook::of(settings, runbook, &subject.stanza, target, choice.timeline);
    // Along the timeline that was chosen, whether or not it was asked for.
    let along = Wish { timeline: Some(choice.timeline), ..wish.clone() };
    let left_at = selection::fork(&along, &histories).map_or_else(|| "none".to_owned(), |fork| fork.switch.to_string());
    known_texts.insert("timeline-left-at".to_owned(), left_at);
    known_texts.extend(outlook.clone().unwrap_or_default().facts());
    known_texts.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(production) = found.as_ref().filter(|_| parameter_of(runbook, KEPT_RECORD).is_some()) {
        let store = paths::state_directory(settings).ok().and_then(|state| Store::existing(&state).ok().flatten());
        let kept = leftovers::newest_kept(store.as_ref(), &production.data_directory);
        let kept = kept.map_or_else(|| "none".to_owned(), |record| record.display().to_string());
        known_texts.insert(KEPT_RECORD.to_owned(), kept);
    }
    let known = KnownFacts {
        texts: known_texts,
        lists: lists(&surroundings, &subject, target, &directory)?,
        sealed,
        environment: environment.shown,
        secret_environment: environment.secret_names,
    };
    let mut plan = bind(runbook, given, &known).map_err(ProposalError::Bind)?;
    let database_bytes = stanza
        .repository(choice.repository)
        .and_then(|repository| repository.set(choice.set))
        .map_or(0, |set| set.database_bytes().0);
    // They move by nature: the seal leaves them out.
    plan.facts.thresholds = facts::thresholds(&plan, Some(database_bytes));
    Ok(Proposal { outlook, ..Proposal::new(run, plan, choice, directory, database_bytes) })
}

/// The parameter that a fact gives its value. All runs are looked through for the kept cluster, where one is asked for.
fn parameter_of<'r>(runbook: &'r Runbook, wanted: &str) -> Option<&'r String> {
    let is_it = |fact: &DefaultValue| matches!(fact, DefaultValue::Fact(name) if name.text == wanted);
    runbook.parameters.iter().find(|(_, it)| it.default.as_ref().is_some_and(is_it)).map(|(name, _)| name)
}

/// No cluster manager is at work where a runbook asks who manages the server. Whoever names it instead (to see the plan
/// beforehand) is refused by the run's own check.
fn stands_down(
    runbook: &Runbook,
    given: &BTreeMap<String, String>,
    production: &Production,
) -> Result<(), ProposalError> {
    let asks = parameter_of(runbook, MANAGER).is_some_and(|parameter| !given.contains_key(parameter));
    match production.managed.at_work().filter(|_| asks) {
        Some(sighting) => Err(ProposalError::Managed(sighting.refused(&production.data_directory))),
        None => Ok(()),
    }
}

/// It goes over production's own directory: it looks for room to keep what is there.
fn replaces_production(runbook: &Runbook) -> bool {
    runbook.steps.iter().any(|step| matches!(&step.action, Action::Check { check, .. } if check.text == "room-to-keep"))
}

fn stanza_name(
    settings: &Settings,
    config: &BackrestConfig,
    given: &BTreeMap<String, String>,
) -> Result<String, ProposalError> {
    if let Some(stanza) = given.get("stanza").or(settings.pgbackrest.stanza.as_ref()) {
        return Ok(stanza.clone());
    }
    let mut stanzas = config.stanzas();
    match stanzas.len() {
        0 => Err(ProposalError::NoStanza),
        1 => Ok(stanzas.remove(0)),
        _ => Err(ProposalError::WhichStanza(stanzas.join(", "))),
    }
}

/// PostgreSQL's version of the newest set: the programs that read control files have to be of one.
fn newest_version(stanza: &Stanza) -> String {
    let databases = stanza.repositories.iter().filter_map(|repository| repository.current_database());
    databases.map(|database| database.version.to_string()).next().unwrap_or_default()
}

/// The target, and what was given with a moment seen from now (`10 minutes ago`) made absolute: the plan holds no other.
/// A time without an offset is refused, as nobody sees here what was understood.
fn target(
    settings: &Settings,
    given: &BTreeMap<String, String>,
) -> Result<(RecoveryTarget, BTreeMap<String, String>), ProposalError> {
    let text = given.get("target").map_or("latest", String::as_str);
    let exclusive = given.get("exclusive").is_some_and(|value| value == "true" || value == "yes");
    let now = clock::now().to_utc();
    let understood = match settings.operator.timezone {
        Some(zone) => understand(text, exclusive, now, &zone)?.said(text, &zone)?,
        None => understand(text, exclusive, now, &chrono::Local)?.said(text, &chrono::Local)?,
    };
    let mut given = given.clone();
    // What is absolute stays as it was typed.
    if RecoveryTarget::parse(text, exclusive, now, &Utc).is_err() {
        given.insert("target".to_owned(), understood.given());
    }
    Ok((understood.target, given))
}

fn number(given: &BTreeMap<String, String>, name: &'static str) -> Result<Option<u32>, ProposalError> {
    let parse = |value: &String| {
        value.parse().map_err(|_| ProposalError::Parameter {
            name,
            value: crate::domain::text::clean(value),
            why: "a whole number is expected".to_owned(),
        })
    };
    given.get(name).map(parse).transpose()
}

fn label(given: &BTreeMap<String, String>) -> Result<Option<BackupLabel>, ProposalError> {
    let wrong = |value: &String, error: LabelError| ProposalError::Parameter {
        name: "set",
        value: crate::domain::text::clean(value),
        why: error.to_string(),
    };
    given.get("set").map(|value| BackupLabel::parse(value).map_err(|error| wrong(value, error))).transpose()
}

fn texts(
    settings: &Settings,
    surroundings: &Surroundings,
    subject: &Subject,
    inventory: &Inventory,
    target: &RecoveryTarget,
    run: &RunId,
    directory: &Path,
) -> BTreeMap<String, String> {
    let repository = inventory.stanza(&subject.stanza).and_then(|stanza| stanza.repository(subject.repository));
    let set = repository.and_then(|repository| repository.set(subject.set));
    let database = repository.zip(set).and_then(|(repository, set)| repository.database(set.database()));
    let archive = repository.zip(set).and_then(|(repository, set)| repository.archive(set.database()));
    let config = surroundings.pgbackrest.config.as_ref().map(|path| path.display().to_string());
    let program = identity::program_to_show().map_or_else(|_| "lifeboat".to_owned(), |path| path.display().to_string());
    let facts = [
        ("archive-id", archive.map(|archive| archive.id.to_string()).unwrap_or_default()),
        ("database", settings.drill.database.clone()),
        ("depth", settings.drill.depth.word().to_owned()),
        ("directory", directory.display().to_string()),
        ("host", rustix::system::uname().nodename().to_string_lossy().into_owned()),
        ("lifeboat", program),
        ("pgbackrest", surroundings.pgbackrest.binary.display().to_string()),
        ("pgbackrest-config", config.unwrap_or_default()),
        ("port", PORT.to_owned()),
        ("postgres-bin", surroundings.postgres.bin_directory.display().to_string()),
        // Checks look at it; where the configuration names none on this host there is nothing at that path.
        ("production-data-directory", subject.production.clone().unwrap_or_else(|| "/nonexistent".to_owned())),
        ("repository", subject.repository.0.to_string()),
        ("run", run.to_string()),
        ("set", subject.set.to_string()),
        ("set-stop", set.map(|set| set.stop().to_rfc3339()).unwrap_or_default()),
        ("socket-directory", DrillDirectory::at(directory).socket().display().to_string()),
        ("stanza", subject.stanza.clone()),
        (
            "state-directory",
            paths::state_directory(settings).map(|path| path.display().to_string()).unwrap_or_default(),
        ),
        // Of the session that proposes: another one that attaches later may say something else.
        ("survives-logout", identity::decide(&identity::read()).survives()),
        (
            "system-identifier",
            database.and_then(|database| database.system_id).map(|system| system.to_string()).unwrap_or_default(),
        ),
        ("target-type", target.kind().to_owned()),
        ("timeline", subject.timeline.to_string()),
        ("user", settings.postgres.user.clone().unwrap_or_else(|| "postgres".to_owned())),
    ];
    let probe = settings.drill.probe_sql.clone().map(|sql| ("probe-sql", sql));
    facts.into_iter().chain(probe).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn lists(
    surroundings: &Surroundings,
    subject: &Subject,
    target: &RecoveryTarget,
    directory: &Path,
) -> Result<BTreeMap<String, Vec<String>>, ProposalError> {
    let drill = DrillDirectory::at(directory);
    let config = surroundings.pgbackrest.config.as_ref().map(|path| format!("--config={}", path.display()));
    let options: Vec<String> = config.into_iter().collect();
    let mut words = vec![surroundings.pgbackrest.binary.display().to_string()];
    words.extend(options.iter().cloned());
    words.push(format!("--stanza={}", subject.stanza));
    let in_place = words.clone();
    words.push(format!("--pg1-path={}", drill.data().display()));
    words.push(format!("--lock-path={}", drill.lock().display()));
    // Its warnings and errors belong into the server's log, where the reason of a failure is looked for.
    words.extend(["--log-level-file=off", "--log-level-console=off", "--log-level-stderr=warn"].map(str::to_owned));
    let option = |words: &[String]| -> Result<Vec<String>, ProposalError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(vec![format!("--recovery-option=restore_command={}", restore_command(&words)?)])
    };
    Ok(BTreeMap::from([
        ("pgbackrest-options".to_owned(), options),
        // In place nothing is overridden, and no repository is named: WAL may come from all of them.
        ("production-restore-command".to_owned(), option(&in_place)?),
        ("restore-command".to_owned(), option(&words)?),
        ("target-options".to_owned(), target.options(TimelineId(subject.timeline), TargetAction::Promote)),
    ]))
}
