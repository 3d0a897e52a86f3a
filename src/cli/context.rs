//! What a subcommand needs to know of its surroundings: settings and options brought together, once.

use super::Globals;
use crate::domain::event::{Host, Operator, RunId};
use crate::engine::pgbackrest::Pgbackrest;
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::store::{RunFolder, Store};
use crate::engine::{desk, environment::BaseEnvironment, identity, paths};
use crate::report::command_text::shell_word;
use crate::settings::{HOST_FILE, Settings};
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Settings, options and where things are.
#[derive(Debug)]
pub struct Context {
    /// The options that every subcommand takes; they go before the settings.
    pub globals: Globals,
    /// The settings file's content, or defaults.
    pub settings: Settings,
}

impl Context {
    /// Loads the settings.
    ///
    /// # Errors
    /// When the settings file has a mistake: all of them are named.
    pub fn load(globals: Globals) -> anyhow::Result<Context> {
        let mut settings = Settings::load(globals.settings.as_deref())?;
        if let Some(binary) = &globals.pgbackrest {
            settings.pgbackrest.binary.clone_from(binary);
        }
        if let Some(config) = &globals.pgbackrest_config {
            settings.pgbackrest.config = Some(identity::resolve(config));
        }
        if let Some(stanza) = &globals.stanza {
            settings.pgbackrest.stanza = Some(stanza.clone());
        }
        settings.read_only = globals.read_only;
        Ok(Context { globals, settings })
    }

    /// Becomes the data directory's owner: returns in the process that is the owner, and only there.
    ///
    /// # Errors
    /// When that can't be done, with what to type instead.
    pub fn become_owner(&self) -> anyhow::Result<()> {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        identity::enter(&self.settings, self.data_directory().as_deref(), &arguments)?;
        Ok(())
    }

    /// The data directory of the stanza in question, as far as the configuration can be read.
    #[must_use]
    pub fn data_directory(&self) -> Option<PathBuf> {
        let environment = BaseEnvironment::from_process().ok()?;
        let config = BackrestConfig::load(self.settings.pgbackrest.config.as_deref(), &environment.real).ok()?;
        let stanza = match &self.settings.pgbackrest.stanza {
            Some(stanza) => stanza.clone(),
            None => config.stanzas().into_iter().next()?,
        };
        config.pg1_path(&stanza)
    }

    /// The settings file, to hand on.
    #[must_use]
    pub fn settings_file(&self) -> Option<&Path> {
        self.settings.file.as_deref()
    }

    /// The real pgbackrest.
    ///
    /// # Errors
    /// When it is not installed or its configuration can't be read.
    pub fn pgbackrest(&self) -> anyhow::Result<Pgbackrest> {
        Ok(desk::pgbackrest(&self.settings)?)
    }

    /// The state directory, to look at it; `None` when there is none yet.
    ///
    /// # Errors
    /// When it can't be read or belongs to somebody else.
    pub fn existing_store(&self) -> anyhow::Result<Option<Store>> {
        Ok(desk::existing_store(&self.settings)?)
    }

    /// How this person calls the program, for what they are told to type: with the options that lead to the same
    /// settings and stanza, and by its path where the shell would not find it.
    #[must_use]
    pub fn program(&self) -> String {
        let globals = &self.globals;
        let mut words = vec![program_name()];
        let settings = globals.settings.as_ref().filter(|file| **file != Path::new(HOST_FILE));
        for (option, path) in [
            ("--settings", settings),
            ("--pgbackrest", globals.pgbackrest.as_ref()),
            ("--pgbackrest-config", globals.pgbackrest_config.as_ref()),
        ] {
            words.extend(
                path.map(|path| format!("{option} {}", shell_word(&identity::resolve(path).to_string_lossy()))),
            );
        }
        words.extend(globals.stanza.as_ref().map(|stanza| format!("--stanza {}", shell_word(stanza))));
        words.join(" ")
    }

    /// What takes the configuration's secrets out of a text. Without a configuration those of the environment.
    #[must_use]
    pub fn redactor(&self) -> Box<dyn Fn(&str) -> String> {
        desk::redactor(&self.settings)
    }

    /// A run's folder by what the person typed.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run_folder(&self, run: &str) -> anyhow::Result<RunFolder> {
        let id = RunId::parse(run)?;
        let store = self.existing_store()?.context("there is no state directory yet, and so no run")?;
        Ok(store.folder(&id)?)
    }

    /// Where a run that is begun now listens.
    ///
    /// # Errors
    /// When the runtime directory can't be used or the path gets too long for a socket.
    pub fn socket(&self, run: &RunId) -> anyhow::Result<PathBuf> {
        Ok(paths::socket_path(&self.settings, run)?)
    }

    /// The person who asks.
    #[must_use]
    pub fn operator(&self) -> Operator {
        desk::operator()
    }

    /// This machine.
    #[must_use]
    pub fn host(&self) -> Host {
        desk::host()
    }
}

/// What a person types to start this program: `lifeboat` where the search path leads to this very file, else its path.
#[must_use]
pub fn program_name() -> String {
    let Ok(program) = identity::program_to_show() else { return "lifeboat".to_owned() };
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("lifeboat"))
            .find(|file| file.is_file())
            .is_some_and(|file| file.canonicalize().is_ok_and(|file| file == program))
    });
    if found { "lifeboat".to_owned() } else { shell_word(&program.to_string_lossy()) }
}
