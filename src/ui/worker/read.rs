//! Questions that change nothing, answered in words that can be shown.

use super::{Index, folder, output_path, put};
use crate::domain::event::RunId;
use crate::domain::inventory::SetKey;
use crate::domain::run::Run;
use crate::domain::text::clean;
use crate::engine::client::{self, RunFolder};
use crate::engine::output_page::{self, Window};
use crate::engine::proposal::{self, Proposal, Waiting};
use crate::engine::rehearsal::{self, Rehearsal};
use crate::engine::{desk, evidence, ground, inventory_index, look, runbooks as sources};
use crate::planning::check::{VOCABULARY, lint};
use crate::report::text;
use crate::report::transcript::{StepOutput, Stream};
use crate::settings::Settings;
use crate::ui::action::{Anchor, OutputKey};
use crate::ui::event::{OutputPage, Reply, RunCard, RunTold, RunbookCard};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Lines of a window: more than any terminal has rows.
const WINDOW_LINES: usize = 300;

pub(super) fn inventory(settings: &Settings, index: &Index, stanza: Option<&str>) -> Reply {
    let asked = || -> Result<_, String> {
        let found = inventory_index::look(settings).map_err(words)?;
        let known = found.known(stanza.or(settings.pgbackrest.stanza.as_deref())).map_err(words)?;
        put(index, found);
        Ok(known)
    };
    Reply::Inventory(asked(), client::last_drills(settings))
}

pub(super) fn stanza(index: &Index, name: String) -> Reply {
    let index = index.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(index) = index else { return Reply::Failed("no inventory was told yet".to_owned()) };
    let found = index.stanza(&name).map(Arc::new).map_err(words);
    Reply::Stanza(name, index.read_at(), found)
}

pub(super) fn ground(settings: &Settings, stanza: &str) -> Reply {
    let asked = || -> Result<_, String> {
        let pgbackrest = desk::pgbackrest(settings).map_err(words)?;
        let inventory = look::inventory(&pgbackrest, Some(stanza)).map_err(words)?;
        let found = inventory.stanza(stanza).ok_or_else(|| format!("there is no stanza {stanza} any more"))?;
        Ok(ground::read(settings, &pgbackrest, found))
    };
    match asked() {
        Ok(ground) => Reply::Ground(stanza.to_owned(), ground),
        Err(why) => Reply::Failed(why),
    }
}

pub(super) fn detail(settings: &Settings, key: SetKey) -> Reply {
    let asked = || -> Result<_, String> {
        let pgbackrest = desk::pgbackrest(settings).map_err(words)?;
        look::set_detail(&pgbackrest, &key.stanza, key.repository, key.label).map_err(words)
    };
    let found = asked();
    Reply::Detail(key, found)
}

pub(super) fn runbooks(settings: &Settings) -> Reply {
    let found = sources::sources(settings.runbook_directory().as_deref()).map_err(words);
    Reply::Runbooks(found.map(|found| {
        found
            .into_values()
            .map(|source| {
                let place = source.file.as_ref().map_or_else(|| source.name.clone(), |file| file.display().to_string());
                let runbook = lint(&source.text, &VOCABULARY).map(Box::new).map_err(|findings| {
                    findings.iter().map(|found| sources::located(&place, found)).collect::<Vec<_>>().join("\n")
                });
                RunbookCard { name: source.name, file: source.file, runbook }
            })
            .collect()
    }))
}

pub(super) fn propose(
    settings: &Settings,
    runbook: &str,
    given: &BTreeMap<String, String>,
    waiting: &mut Waiting<'_>,
) -> Result<Proposal, String> {
    let runbook = sources::load(runbook, settings.runbook_directory().as_deref()).map_err(words)?;
    let pgbackrest = desk::pgbackrest(settings).map_err(words)?;
    let mut proposal = proposal::propose(settings, &pgbackrest, &runbook, given, waiting).map_err(words)?;
    let drills = client::in_the_way(settings, &proposal.plan).map_err(words)?;
    proposal.choice.warnings.extend(drills.into_iter().map(|drill| {
        format!("drill {drill} of the same stanza goes on here and takes disk and repository from this: end it (A on its page)")
    }));
    Ok(proposal)
}

pub(super) fn runs(settings: &Settings) -> Reply {
    Reply::Runs(client::runs(settings).map(|runs| runs.iter().map(card).collect()).map_err(words))
}

fn card(folder: &RunFolder) -> RunCard {
    RunCard {
        id: folder.id.clone(),
        is_runner_alive: folder.is_runner_alive().unwrap_or(false),
        told: folder.load().map(|(run, _, _)| told(&run)).map_err(words),
    }
}

fn told(run: &Run) -> RunTold {
    let parameter = |name: &str| run.plan.parameters.get(name).map(|value| format!("{name} {}", clean(value)));
    let about: Vec<String> = ["stanza", "set", "target"].into_iter().filter_map(parameter).collect();
    RunTold {
        runbook: clean(&run.plan.runbook),
        outcome: run.outcome_word(),
        is_open: run.ended.is_none(),
        by: clean(&run.by.name),
        began: run.created,
        ended: run.ended.map(|(_, at)| at),
        about: about.join(" · "),
        gate: run.open_gate().or_else(|| run.open_decision()).map(|(step, _)| step.id.to_string()),
    }
}

pub(super) fn output(settings: &Settings, key: OutputKey, anchor: Anchor) -> Reply {
    let read = || -> Result<Window, String> {
        let path = output_path(settings, &key)?;
        let window = match anchor {
            Anchor::End => output_page::last(&path, WINDOW_LINES),
            Anchor::From(start) => output_page::from(&path, start, WINDOW_LINES),
            Anchor::Before(end) => output_page::before(&path, end, SCREEN_LINES),
        };
        window.map_err(words)
    };
    // A step that has just begun has no file yet.
    let window = read().unwrap_or_default();
    let redact = desk::redactor(settings);
    let shown = |bytes: Vec<u8>| clean(&redact(&String::from_utf8_lossy(&bytes)));
    let lines = window.lines.into_iter().map(|(start, line)| (start, shown(line))).collect();
    Reply::Output(key, OutputPage { start: window.start, end: window.end, length: window.length, lines })
}

/// A page up goes back by so many lines.
const SCREEN_LINES: usize = 8;

pub(super) fn search(settings: &Settings, key: OutputKey, text: &str, from: u64, backwards: bool) -> Reply {
    let found = output_path(settings, &key).and_then(|path| {
        let found = if backwards {
            output_page::search_back(&path, text, from)
        } else {
            output_page::search(&path, text, from)
        };
        found.map_err(words)
    });
    match found {
        Ok(place) => Reply::Found(key, place),
        Err(why) => Reply::Failed(why),
    }
}

pub(super) fn transcript(settings: &Settings, id: &RunId) -> Result<Vec<String>, String> {
    let folder = folder(settings, id)?;
    let (run, entries, _) = folder.load().map_err(words)?;
    let redact = desk::redactor(settings);
    let redact = |text: &str| redact(text);
    let printed = evidence::printed(&folder, &run, &entries, &redact).map_err(words)?;
    let stream = |printed: &evidence::Printed| Stream {
        text_cleaned: printed.text_cleaned.clone(),
        bytes: printed.bytes,
        sha256_matches: printed.sha256_matches,
    };
    let outputs = |position, attempt| {
        let found = printed.iter().find(|found| (found.position, found.attempt) == (position, attempt))?;
        Some(StepOutput { output: stream(&found.output), errors: found.errors.as_ref().map(stream) })
    };
    Ok(text::transcript(&run, &entries, &outputs, &redact).lines().map(str::to_owned).collect())
}

/// What happened to the practice cluster that the settings belong to.
pub(super) fn rehearsal(settings: &Settings) -> Reply {
    let found = practice(settings).and_then(|practice| rehearsal::incident(&practice).map_err(words));
    Reply::Rehearsal(found)
}

/// How its recovery came out.
pub(super) fn score(settings: &Settings) -> Reply {
    if settings.read_only {
        return Reply::Score(Err("--read-only: the score asks the server by SQL, and is not asked for".to_owned()));
    }
    Reply::Score(practice(settings).and_then(|practice| rehearsal::score(&practice).map_err(words)))
}

fn practice(settings: &Settings) -> Result<Rehearsal, String> {
    Rehearsal::of_settings(settings.file.as_deref()).ok_or_else(|| "this is no practice cluster".to_owned())
}

fn words(error: impl std::error::Error) -> String {
    crate::domain::text::clean_lines(&error.to_string())
}
