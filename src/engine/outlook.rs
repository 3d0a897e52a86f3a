//! What a plan's target means in WAL, looked up when the plan is made: the target itself where only an accident was named,
//! and what it keeps and throws away. Asks and reads; changes nothing.

use crate::domain::text::clean;
use crate::domain::wal::TimelineId;
use crate::engine::accident::{Cancel, Limits, News, Place, Request, investigate, thrown_away};
use crate::engine::clock;
use crate::planning::accident::{Boundary, Question, Window, keeps, leaves_locked, throws_away};
use crate::planning::runbook::Runbook;
use crate::planning::target::RecoveryTarget;
use crate::planning::template::TemplatePiece;
use crate::settings::Settings;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// The parameter that names an accident instead of a target.
const ACCIDENT: &str = "accident";
/// The facts with what the target keeps and throws away.
const KEEPS: &str = "target-keeps";
const DISCARDS: &str = "target-discards";
/// Who makes a plan waits for it.
const LIMITS: Limits = Limits { segments: 256, time: Duration::from_secs(30) };

/// Nor does it wait longer for the target itself: a window of a few hours from a distant repository takes minutes.
const FILL_LIMIT: Duration = Duration::from_secs(120);

/// Who waits for a plan: until the accident that was named is found, that takes time.
pub struct Waiting<'w> {
    /// Ends the search, and there is no plan.
    pub cancel: Cancel,
    /// Hears how far it is.
    pub tell: &'w mut dyn FnMut(Filling<'_>),
}

impl std::fmt::Debug for Waiting<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Waiting").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// How far the search for an accident is.
#[derive(Debug)]
pub enum Filling<'a> {
    /// It goes on.
    Heard(News<'a>),
    /// It is over: what the plan still needs takes no time, and is not broken off.
    Over,
}

/// Why there is no target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// It was broken off.
    BrokenOff,
    /// In words.
    Why(String),
}

impl From<String> for Unfilled {
    fn from(why: String) -> Unfilled {
        Unfilled::Why(why)
    }
}

/// Fills the target of an accident into what was given: exact, exclusive, with its timeline.
///
/// # Errors
/// When it was broken off; or in words: a target beside it, no accident in that window, WAL that can't be read, or not in time.
pub(super) fn fill(
    settings: &Settings,
    runbook: &Runbook,
    stanza: &str,
    given: &mut BTreeMap<String, String>,
    waiting: &mut Waiting<'_>,
) -> Result<(), Unfilled> {
    let filled = fill_within(FILL_LIMIT, settings, runbook, stanza, given, waiting);
    (waiting.tell)(Filling::Over);
    filled
}

fn fill_within(
    limit: Duration,
    settings: &Settings,
    runbook: &Runbook,
    stanza: &str,
    given: &mut BTreeMap<String, String>,
    waiting: &mut Waiting<'_>,
) -> Result<(), Unfilled> {
    if !runbook.parameters.contains_key(ACCIDENT) {
        return Ok(());
    }
    let Some(text) = given.get(ACCIDENT) else { return Ok(()) };
    for beside in ["target", "exclusive"] {
        if given.contains_key(beside) {
            return Err(Unfilled::Why(format!(
                "{ACCIDENT} and {beside} are both given: the accident fills the {beside} in; leave one out"
            )));
        }
    }
    let now = clock::now().to_utc();
    let question = match settings.operator.timezone {
        Some(zone) => Question::parse(text, now, &zone),
        None => Question::parse(text, now, &chrono::Local),
    };
    let question = question.map_err(|error| format!("-p {ACCIDENT}={}: {error}", clean(text)))?;
    let timeline = given.get("timeline").and_then(|text| text.parse().ok()).map(TimelineId);
    let place = place(settings, stanza)?;
    let request = Request {
        table: question.table.clone(),
        timeline,
        asks_server: asks_server(runbook),
        user: settings.postgres.user.clone(),
        ..Request::around(question.window()?)
    };
    let (cancel, tell) = (waiting.cancel.clone(), &mut waiting.tell);
    let (found, is_late) =
        cancel.limit(limit, || investigate(&place, &request, &cancel, &mut |news| tell(Filling::Heard(news))));
    // A part of the window proposes nothing: what is routine, and what share of a table it was, shows behind it.
    if is_late {
        return Err(Unfilled::Why(format!(
            "-p {ACCIDENT}={}: the WAL of that window was not read within {} s, so there is no target. Name a smaller window \
             (window 5m), or let `lifeboat accident` take its time: it shows how far it is, and what it fetched is kept for \
             this plan as well; or give the target itself, -p target=lsn:…",
            clean(text),
            limit.as_secs()
        )));
    }
    if cancel.is_set() {
        return Err(Unfilled::BrokenOff);
    }
    let answer = found.map_err(|error| format!("-p {ACCIDENT}={}: {error}", clean(text)))?.answer;
    let Some(proposed) = answer.proposed else {
        let notes: String = answer.notes.iter().map(|note| format!("\n  {note}")).collect();
        return Err(Unfilled::Why(format!(
            "-p {ACCIDENT}={}: of {} suspects in that window none is surely an accident; `lifeboat accident` lists them, \
             and -p target= takes one{notes}",
            clean(text),
            answer.suspects.len()
        )));
    };
    given.insert("target".to_owned(), format!("lsn:{}", proposed.target.value));
    given.insert("exclusive".to_owned(), proposed.target.exclusive.to_string());
    given.insert("timeline".to_owned(), proposed.target.timeline.to_string());
    Ok(())
}

/// What a target keeps and throws away, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The last commit that is kept.
    pub keeps: String,
    /// The commits that are thrown away.
    pub discards: String,
}

impl Outlook {
    /// As runbooks name it.
    pub(super) fn facts(self) -> [(String, String); 2] {
        [(KEEPS.to_owned(), self.keeps), (DISCARDS.to_owned(), self.discards)]
    }
}

/// What the target keeps and throws away, for a runbook that shows it. A plan is made all the same where it is not known.
pub(super) fn of(
    settings: &Settings,
    runbook: &Runbook,
    stanza: &str,
    target: &RecoveryTarget,
    timeline: TimelineId,
) -> Option<Outlook> {
    let is_shown = mentions(runbook, &[KEEPS, DISCARDS]);
    let (keeps, discards) = is_shown.then(|| told(settings, runbook, stanza, target, timeline))?;
    Some(Outlook { keeps: clean(&keeps), discards: clean(&discards) })
}

fn told(
    settings: &Settings,
    runbook: &Runbook,
    stanza: &str,
    target: &RecoveryTarget,
    timeline: TimelineId,
) -> (String, String) {
    // Where a transaction ended may be anywhere: the run looks for it, not who makes a plan.
    let placed = Boundary::of(target).filter(|boundary| !matches!(boundary, Boundary::Transaction { .. }));
    let Some(boundary) = placed else {
        let later = "worked out when the run has looked at the WAL".to_owned();
        return match target {
            RecoveryTarget::Latest => ("everything that can be read".to_owned(), "nothing that is known".to_owned()),
            _ => (later.clone(), later),
        };
    };
    let at = match boundary {
        Boundary::Time { at, .. } => at,
        _ => clock::now().to_utc(),
    };
    let request = Request {
        timeline: Some(timeline),
        asks_server: asks_server(runbook),
        user: settings.postgres.user.clone(),
        ..Request::around(Window { from: at, to: at, around: at })
    };
    let weighed = place(settings, stanza)
        .and_then(|place| thrown_away(&place, &request, boundary, LIMITS).map_err(|error| error.to_string()));
    match weighed {
        Ok(weighed) => {
            let when: DateTime<Utc> = clock::now().to_utc();
            let mut discarded = format!("{}; as of {}", throws_away(&weighed.thrown), when.format("%H:%M:%SZ"));
            weighed.notes.iter().for_each(|note| discarded.push_str(&format!("; {note}")));
            let locked = leaves_locked(&weighed.thrown).map(|locked| format!("; {locked}")).unwrap_or_default();
            (keeps(weighed.thrown.last_kept.as_ref()) + &locked, discarded)
        }
        Err(why) => (format!("not known: {why}"), "not known for the same reason".to_owned()),
    }
}

fn place(settings: &Settings, stanza: &str) -> Result<Place, String> {
    let mut place = Place::of(settings).map_err(|error| error.to_string())?;
    place.pgbackrest.stanza = Some(stanza.to_owned());
    Ok(place)
}

/// Production's server is asked for names only where the runbook itself speaks to it.
fn asks_server(runbook: &Runbook) -> bool {
    mentions(runbook, &["production-socket-directory"])
}

/// Whether any text of a runbook's steps uses one of these facts.
fn mentions(runbook: &Runbook, facts: &[&str]) -> bool {
    let templates = runbook.steps.iter().flat_map(|step| step.templates());
    templates.flat_map(|(_, template)| &template.pieces).any(|piece| match piece {
        TemplatePiece::Name { name, .. } => facts.contains(&name.as_str()),
        TemplatePiece::Text(_) | TemplatePiece::Capture { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::planning::check::{VOCABULARY, lint};
    use crate::planning::runbook::SHIPPED;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    #[test]
    fn a_repository_that_does_not_answer_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("pgbackrest");
        let script = "#!/bin/sh\ncase \"$*\" in *version*) echo 'pgBackRest 2.45'; exit 0;; esac\nexec sleep 300\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = home.path().join("pgbackrest.conf");
        std::fs::write(
            &config,
            format!("[global]\nrepo1-path={0}/repo\n[main]\npg1-path={0}/data\n", home.path().display()),
        )
        .unwrap();
        let mut settings = Settings::default();
        (settings.pgbackrest.binary, settings.pgbackrest.config) = (program, Some(config));
        settings.state.directory = Some(home.path().join("state"));
        let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
        let runbook = lint(text, &VOCABULARY).unwrap();
        let mut given = BTreeMap::from([(ACCIDENT.to_owned(), "around:2026-11-22 02:13:00+03 window 5m".to_owned())]);
        let before = given.clone();
        let begin = Instant::now();
        let mut heard = 0;
        let mut tell = |_: Filling<'_>| heard += 1;
        let mut waiting = Waiting { cancel: Cancel::new(), tell: &mut tell };
        let mut fill = |waiting: &mut Waiting<'_>| {
            fill_within(Duration::from_secs(1), &settings, &runbook, "main", &mut given, waiting).unwrap_err()
        };
        let Unfilled::Why(said) = fill(&mut waiting) else { panic!("nobody broke it off") };
        // Whoever breaks it off does not wait for the limit, and is not told of it.
        waiting.cancel = Cancel::new();
        waiting.cancel.set();
        assert_eq!(fill(&mut waiting), Unfilled::BrokenOff);
        assert!(heard > 0);
        assert!(said.contains("not read within 1 s") && said.contains("lifeboat accident"), "{said}");
        assert_eq!(given, before, "no target is made up");
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    }
}
