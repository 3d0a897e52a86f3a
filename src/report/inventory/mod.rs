//! The inventory as a table for people and as JSON for programs.

mod columns;
mod json;
mod layout;
mod words;

pub use crate::report::inventory::json::json;
pub use crate::report::inventory::layout::Layout;
pub(crate) use crate::report::inventory::words::{bytes, span};

use crate::domain::inventory::{
    BackupSet, Database, Family, Inventory, LastDrill, LastDrills, Lock, Repository, SetKey, Stanza, StatusCode,
};
use crate::domain::label::BackupKind;
use crate::report::inventory::columns::Columns;
use crate::report::inventory::words::{age, moment, progress, remedy};
use chrono::{DateTime, Utc};

/// The inventory as lines of at most `layout.width` columns (64 at least), each ended by a line end.
///
/// Ages are counted from `now`; all times are UTC and say so. `drills` are those that ended on this
/// host; `None`: they can't be read, and nobody may take that for never.
#[must_use]
pub fn table(inventory: &Inventory, drills: Option<&LastDrills>, now: DateTime<Utc>, layout: Layout) -> String {
    let mut page = Page { lines: Vec::new(), drills, layout, now };
    page.inventory(inventory);
    page.lines.iter().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// A table that grows line by line.
struct Page<'d> {
    lines: Vec<String>,
    drills: Option<&'d LastDrills>,
    layout: Layout,
    now: DateTime<Utc>,
}

impl Page<'_> {
    fn say(&mut self, indent: usize, text: &str) {
        let lines = self.layout.wrap(indent, text);
        self.lines.extend(lines);
    }

    /// A line that must not be passed over.
    fn flag(&mut self, indent: usize, text: &str) {
        let mut lines = self.layout.wrap(indent + 2, text);
        if let Some(first) = lines.first_mut() {
            first.replace_range(indent..indent + 1, "!");
        }
        self.lines.extend(lines);
    }

    fn inventory(&mut self, inventory: &Inventory) {
        let read = format!("read {}", moment(inventory.read_at));
        let old = (self.now - inventory.read_at).num_seconds() >= 60;
        let read = if old { format!("{read}, {} ago", age(inventory.read_at, self.now)) } else { read };
        self.say(0, &format!("pgBackRest {} · {read}", inventory.pgbackrest));
        for warning in &inventory.warnings {
            self.flag(0, &format!("pgBackRest says: {warning}"));
        }
        if inventory.stanzas.is_empty() {
            self.flag(0, "no stanza was found in any repository.");
            self.say(
                2,
                "If there should be one: a repository whose file system is not mounted looks exactly like this. Check \
                repo1-path in pgBackRest's configuration and that its file system is mounted, and that this is the \
                configuration that makes the backups (--pgbackrest-config).",
            );
        }
        for stanza in &inventory.stanzas {
            self.lines.push(String::new());
            self.stanza(stanza);
        }
    }

    fn stanza(&mut self, stanza: &Stanza) {
        if stanza.is_nameless() {
            self.say(0, "stanzas unknown: a repository could not be read");
        } else {
            self.say(0, &format!("stanza {} · {}", stanza.name, self.stanza_status(stanza)));
        }
        self.lock("backup or expire", &stanza.locks.backup);
        if let Some(lock) = &stanza.locks.restore {
            self.lock("restore", lock);
        }
        if stanza.is_progress_only {
            self.say(2, "only the progress was asked for: nothing was read of repositories and backup sets");
        }
        for repository in &stanza.repositories {
            self.repository(stanza, repository);
        }
    }

    fn stanza_status(&self, stanza: &Stanza) -> String {
        self.layout.cut(&words::status(&stanza.status))
    }

    fn lock(&mut self, what: &str, lock: &Lock) {
        if !lock.held {
            return;
        }
        let on_all = lock.progress.map_or(String::new(), |done| format!(": {}", progress(done)));
        self.flag(2, &format!("a {what} is running on this host{on_all}"));
        for (key, done) in &lock.repositories {
            let done = done.map_or("progress not known".into(), progress);
            self.say(6, &format!("{}: {done}", key.name()));
        }
    }

    fn repository(&mut self, stanza: &Stanza, repository: &Repository) {
        let cipher = match &*repository.cipher {
            "" => "encryption unknown",
            "none" => "not encrypted",
            other => other,
        };
        let status = self.layout.cut(&words::status(&repository.status));
        self.say(2, &format!("{} · {cipher} · {status}", repository.key.name()));
        if repository.status.code != StatusCode::Ok {
            self.trouble(repository);
        }
        for database in repository.databases.iter().rev() {
            self.database(repository, database);
        }
        if !repository.sets.is_empty() {
            self.sets(stanza, repository);
        }
        for what in &repository.unreadable_sets {
            self.flag(4, &format!("a set can't be shown: {what}"));
        }
    }

    /// Why a repository tells of no sets, and what to do.
    fn trouble(&mut self, repository: &Repository) {
        if repository.status.code == StatusCode::Unreadable {
            let mut told: Vec<&str> = Vec::new();
            for line in repository.status.message.lines() {
                // pgBackRest tries both copies of a file and often says the same of each.
                if told.len() < 6 && !told.contains(&line) {
                    told.push(line);
                    let text = self.layout.cut(line);
                    self.say(4, &text);
                }
            }
        }
        if !repository.was_read() && repository.status.code != StatusCode::SetNotFound {
            self.flag(4, "what it holds is not known: it may hold backups nevertheless");
        }
        let advice = remedy(repository.key, &repository.status);
        self.say(4, &advice);
    }

    fn database(&mut self, repository: &Repository, database: &Database) {
        let is_current = repository.current_database().is_some_and(|current| current.id == database.id);
        let has_past = repository.databases.len() > 1;
        let which = if is_current || !has_past { "" } else { "before: " };
        let system = database.system_id.map_or(String::new(), |id| format!(" · system id {id}"));
        self.say(4, &format!("{which}PostgreSQL {}{system} · database {}", database.version, database.id));
        let archive = repository.archive(database.id);
        match archive.and_then(|archive| Some((archive.min?, archive.max?))) {
            Some((oldest, newest)) => self.say(4, &format!("WAL from {oldest}, newest {newest}")),
            None if is_current => self.flag(4, "no WAL is archived"),
            None => {}
        }
        let sets = || repository.sets.iter().filter(|set| set.database() == database.id);
        let newest = archive.and_then(|archive| archive.max).map(|newest| newest.timeline);
        let known = sets().filter_map(|set| set.wal()).map(|wal| wal.stop.timeline).max();
        if let (true, Some(newest), Some(known)) = (is_current, newest, known)
            && newest > known
        {
            self.flag(
                4,
                &format!(
                    "the newest WAL is on timeline {newest}, the newest set on timeline {known}: somebody promoted a \
                    server that archives here. Name the timeline when you restore (--target-timeline={known})"
                ),
            );
        }
        if is_current && has_past && sets().next().is_none() && !repository.sets.is_empty() {
            self.flag(4, "the current database has no backup set here yet: all sets below are of an earlier one");
        }
    }

    fn sets(&mut self, stanza: &Stanza, repository: &Repository) {
        let columns = Columns::fitting(self.layout.width);
        self.lines.push(columns.header());
        let broken = repository.broken();
        for family in repository.families() {
            self.family(stanza, repository, &family, &columns);
            for (set, missing) in broken.iter().filter(|(set, _)| set.label().full() == family.label) {
                let short = set.label();
                self.flag(4, &format!("{short} can't be restored: it builds upon {missing}, which is not here"));
            }
        }
    }

    /// The last drill of a set, as one looks for it: how it ended and how long ago.
    fn drilled(&self, drill: Option<&LastDrill>) -> String {
        let Some(drill) = drill else {
            return if self.drills.is_some() { "never" } else { "?" }.to_owned();
        };
        let mark = match &*drill.verdict {
            "done" => self.layout.pick("✔", "+"),
            "failed" => self.layout.pick("✗", "x"),
            _ => self.layout.pick("■", "#"),
        };
        format!("{mark} {}", age(drill.at, self.now))
    }

    fn family(&mut self, stanza: &Stanza, repository: &Repository, family: &Family<'_>, columns: &Columns) {
        let drills = self.drills;
        let drill_of = |set: &BackupSet| {
            let key = SetKey { stanza: stanza.name.clone(), repository: repository.key, label: set.label() };
            drills.and_then(|drills| drills.get(&key))
        };
        if family.full.is_none() {
            self.flag(0, &format!("{}: this full set is not here", family.label));
        }
        let last = family.members.len().saturating_sub(1);
        let members = family.members.iter().enumerate().map(|(index, set)| (*set, index == last));
        for (set, is_last) in family.full.map(|set| (set, false)).into_iter().chain(members) {
            let tree = match (set.kind(), is_last) {
                (BackupKind::Full, _) => "",
                (_, false) => self.layout.pick("├ ", "|-"),
                (_, true) => self.layout.pick("└ ", "`-"),
            };
            let drill = drill_of(set);
            self.lines.push(columns.row(tree, set, &self.drilled(drill), self.now));
            // A mark alone is passed over too easily.
            if let Some(drill) = drill.filter(|drill| drill.verdict != "done") {
                let (how, at) = (&drill.verdict, moment(drill.at));
                self.flag(4, &format!("its last drill ended {at}: {how}; `lifeboat runs` lists it"));
            }
            if set.error() == Some(true) {
                let files = set.detail().map(|detail| detail.errors.len()).filter(|&count| count > 0);
                let files = files.map_or(String::new(), |count| format!(" in {count} files"));
                self.flag(4, &format!("page checksum errors{files}: part of this set's data is damaged"));
            }
        }
        let one = family.full.or(family.members.first().copied());
        if let Some(set) = one.filter(|set| repository.databases.len() > 1 && !repository.is_of_current_database(set)) {
            let count = family.members.len() + usize::from(family.full.is_some());
            let which = if count == 1 { "this set is" } else { "these sets are" };
            self.say(4, &format!("{which} of the earlier database {}", set.database()));
        }
    }
}
