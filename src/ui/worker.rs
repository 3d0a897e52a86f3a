//! What `update` wants done, done: each question in a thread of its own, its answer into the inbox. A slow repository
//! keeps nobody waiting, and a frame waits for nothing.

mod accident;
mod follow;
mod read;

use crate::domain::event::RunId;
use crate::engine::accident::{Cancel, News};
use crate::engine::client::{self, RunFolder};
use crate::engine::inventory_index::{self, IndexFile};
use crate::engine::proposal::{Filling, Waiting};
use crate::engine::seat::{self, Driver, Seat};
use crate::engine::{clock, desk, paths};
use crate::planning::accident::Question;
use crate::planning::machine::Request;
use crate::settings::Settings;
use crate::ui::action::{Action, OutputKey, Paged};
use crate::ui::event::{Event, Reply};
use accident::Heard;
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A person sees no more than this many steps of a bar.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Where answers go: the inbox, and a byte that wakes who sleeps on keys.
#[derive(Debug, Clone)]
pub struct Post {
    inbox: Sender<Event>,
    bell: Arc<OwnedFd>,
}

impl Post {
    /// To this inbox, waking with this end of a pipe.
    #[must_use]
    pub fn new(inbox: Sender<Event>, bell: OwnedFd) -> Post {
        Post { inbox, bell: Arc::new(bell) }
    }

    /// Sends it.
    pub fn send(&self, told: Event) {
        // Who has left the console waits for nothing.
        if self.inbox.send(told).is_ok() {
            let _ = rustix::io::write(&self.bell, b".");
        }
    }
}

/// Does it.
#[derive(Debug)]
pub struct Worker {
    settings: Arc<Settings>,
    post: Post,
    /// The inventory that was told last.
    index: Index,
    /// The seats of the runs that this console drives.
    seats: Seats,
    /// Set when the run that is followed is to be left.
    leave: Option<Arc<AtomicBool>>,
    /// Set when reading WAL for an accident is to be broken off.
    leave_accident: Option<Cancel>,
    /// Set when the search for a plan's accident is.
    leave_plan: Option<Cancel>,
}

impl Worker {
    /// With these settings; answers go there.
    #[must_use]
    pub fn new(settings: Settings, post: Post) -> Worker {
        Worker {
            settings: Arc::new(settings),
            post,
            index: Index::default(),
            seats: Seats::default(),
            leave: None,
            leave_accident: None,
            leave_plan: None,
        }
    }

    /// The inventory that was found last, if one is kept. It is read at once, for the first picture.
    #[must_use]
    pub fn kept(&self) -> Option<Reply> {
        let kept = inventory_index::kept(&self.settings)?;
        let known = kept.known(self.settings.pgbackrest.stanza.as_deref()).ok()?;
        put(&self.index, kept);
        Some(Reply::Kept(Box::new(known)))
    }

    /// Does what takes time in a thread of its own. What is left over is the terminal's to do.
    #[must_use]
    pub fn take(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Look(stanza) => {
                let index = Arc::clone(&self.index);
                self.ask(move |settings| read::inventory(settings, &index, stanza.as_deref()));
            }
            Action::ReadStanza(name) => {
                let index = Arc::clone(&self.index);
                self.ask(move |_| read::stanza(&index, name));
            }
            Action::LoadDrills => self.ask(|settings| Reply::Drills(client::last_drills(settings))),
            Action::Survey(stanza) => self.ask(move |settings| read::ground(settings, &stanza)),
            Action::Detail(key) => self.ask(move |settings| read::detail(settings, key)),
            Action::FindAccident { ticket, stanza, question } => self.find_accident(ticket, stanza, question),
            Action::LeaveAccident => leave(&mut self.leave_accident),
            Action::LoadRunbooks => self.ask(read::runbooks),
            Action::Propose { ticket, runbook, given } => self.propose(ticket, runbook, given),
            Action::LeavePlan => leave(&mut self.leave_plan),
            Action::Begin(proposal) => {
                let seats = Arc::clone(&self.seats);
                self.ask(move |settings| {
                    let begun = desk::begin(settings, *proposal);
                    if let Ok(folder) = &begun {
                        // Who begins it drives it; where that can't be written down nobody does.
                        let _ = sit_down(&seats, folder);
                    }
                    Reply::Begun(begun.map(|folder| folder.id).map_err(|error| error.to_string()))
                });
            }
            Action::LoadRehearsal => self.ask(read::rehearsal),
            Action::Score => self.ask(read::score),
            Action::LoadRuns => self.ask(read::runs),
            Action::Attach(id) => self.attach(id),
            Action::Detach => self.detach(),
            Action::ReadOutput(key, anchor) => self.ask(move |settings| read::output(settings, key, anchor)),
            Action::SearchOutput { output, text, from, backwards } => {
                self.ask(move |settings| read::search(settings, output, &text, from, backwards));
            }
            Action::Send { run, request, takes_over } => {
                let seats = Arc::clone(&self.seats);
                self.ask(move |settings| send(settings, &seats, run, request, takes_over));
            }
            Action::LoadTranscript(id) => self.ask(move |settings| {
                let lines = read::transcript(settings, &id);
                Reply::Transcript(id, lines)
            }),
            other => return Some(other),
        }
        None
    }

    fn ask(&self, question: impl FnOnce(&Settings) -> Reply + Send + 'static) {
        let (settings, post) = (Arc::clone(&self.settings), self.post.clone());
        let started = std::thread::Builder::new().name("question".to_owned()).spawn(move || {
            let reply = guarded(|| question(&settings)).unwrap_or_else(Reply::Failed);
            post.send(Event::Reply(Box::new(reply)));
        });
        if let Err(error) = started {
            let why = format!("nothing can be asked: {error}");
            self.post.send(Event::Reply(Box::new(Reply::Failed(why))));
        }
    }

    fn find_accident(&mut self, ticket: u64, stanza: Option<String>, question: Question) {
        leave(&mut self.leave_accident);
        let cancel = Cancel::new();
        self.leave_accident = Some(cancel.clone());
        let post = self.post.clone();
        self.ask(move |settings| {
            let mut told: Option<Instant> = None;
            let mut tell = |heard: Heard| match heard {
                Heard::Progress(progress) if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) => {
                    told = Some(Instant::now());
                    post.send(Event::Reply(Box::new(Reply::AccidentProgress(ticket, progress))));
                }
                Heard::Progress(_) => {}
                Heard::SoFar(found) => post.send(Event::Reply(Box::new(Reply::AccidentSoFar(ticket, found)))),
            };
            Reply::Accident(ticket, accident::found(settings, stanza, &question, &cancel, &mut tell))
        });
    }

    fn propose(&mut self, ticket: u64, runbook: String, given: BTreeMap<String, String>) {
        leave(&mut self.leave_plan);
        let cancel = Cancel::new();
        self.leave_plan = Some(cancel.clone());
        let post = self.post.clone();
        self.ask(move |settings| {
            let mut told: Option<Instant> = None;
            let mut tell = |filling: Filling<'_>| {
                let Filling::Heard(News::Reading(progress)) = filling else { return };
                if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
                    told = Some(Instant::now());
                    post.send(Event::Reply(Box::new(Reply::ProposalProgress(ticket, progress))));
                }
            };
            let mut waiting = Waiting { cancel, tell: &mut tell };
            Reply::Proposal(ticket, read::propose(settings, &runbook, &given, &mut waiting).map(Box::new))
        });
    }

    fn attach(&mut self, id: RunId) {
        self.detach();
        let leave = Arc::new(AtomicBool::new(false));
        self.leave = Some(Arc::clone(&leave));
        let (settings, post) = (Arc::clone(&self.settings), self.post.clone());
        let named = id.clone();
        let started = std::thread::Builder::new().name("follow".to_owned()).spawn(move || {
            let tell = |reply| post.send(Event::Reply(Box::new(reply)));
            if let Err(why) = guarded(|| follow::follow(&settings, &id, &leave, &tell)).and_then(|followed| followed)
                && !leave.load(Ordering::SeqCst)
            {
                tell(Reply::Lost(id, why));
            }
        });
        if let Err(error) = started {
            self.post.send(Event::Reply(Box::new(Reply::Lost(named, error.to_string()))));
        }
    }

    fn detach(&mut self) {
        if let Some(leave) = self.leave.take() {
            leave.store(true, Ordering::SeqCst);
        }
    }

    /// The lines that a pager is to show.
    ///
    /// # Errors
    /// When the output can't be read, in words.
    pub fn paged(&self, paged: Paged) -> Result<Box<dyn Iterator<Item = String>>, String> {
        match paged {
            Paged::Text(lines) => Ok(Box::new(lines.into_iter())),
            Paged::Output(key) => {
                let path = output_path(&self.settings, &key)?;
                let redact = desk::redactor(&self.settings);
                let lines = crate::engine::external::lines_of(&path, redact).map_err(|error| error.to_string())?;
                Ok(Box::new(lines))
            }
        }
    }
}

/// Breaks off what is under way.
fn leave(what: &mut Option<Cancel>) {
    if let Some(cancel) = what.take() {
        cancel.set();
    }
}

/// The index of the inventory that was told last; its stanzas are read from it.
type Index = Arc<Mutex<Option<Arc<IndexFile>>>>;

fn put(index: &Index, file: IndexFile) {
    *index.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
}

/// What comes of it; a defect of the program's own as words, for the screen: the console goes on.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What it was working on is gone with it.
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|thrown| {
        let words = thrown.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| thrown.downcast_ref::<&str>().copied()).unwrap_or("no words");
        format!("a defect of lifeboat's own kept the answer away: {}", crate::domain::text::clean(words))
    })
}

/// A run's folder.
fn folder(settings: &Settings, id: &RunId) -> Result<RunFolder, String> {
    client::find(settings, id).map_err(|error| error.to_string())
}

fn output_path(settings: &Settings, key: &OutputKey) -> Result<PathBuf, String> {
    let folder = folder(settings, &key.run)?;
    Ok(client::output_path(&folder, key.position, key.attempt))
}

/// The runs that this console drives.
type Seats = Arc<Mutex<BTreeMap<String, Seat>>>;

/// Takes a run's seat, from whoever has it.
fn sit_down(seats: &Seats, folder: &RunFolder) -> Result<(), String> {
    let seat = Seat::take(folder, &desk::operator(), clock::now()).map_err(|error| error.to_string())?;
    if let Ok(mut seats) = seats.lock() {
        seats.insert(folder.id.to_string(), seat);
    }
    Ok(())
}

/// Whoever else drives the run. Where nobody does, this console does from here on.
fn other_driver(seats: &Seats, folder: &RunFolder) -> Option<Driver> {
    let is_ours = |seats: &BTreeMap<String, Seat>| seats.get(folder.id.as_str()).is_some_and(Seat::is_ours);
    if seats.lock().is_ok_and(|seats| is_ours(&seats)) {
        return None;
    }
    let driver = seat::driver(folder);
    if driver.is_none() {
        // A seat that can't be written keeps nobody from answering.
        let _ = sit_down(seats, folder);
    }
    driver
}

fn send(settings: &Settings, seats: &Seats, id: RunId, request: Box<Request>, takes_over: bool) -> Reply {
    // Before the seat, which is written down: without a socket there is nobody to send it to.
    let socket = match paths::socket_path(settings, &id) {
        Ok(socket) => socket,
        Err(error) => return Reply::Answered(id, Err(error.to_string())),
    };
    // Whoever looks on may write a note.
    let drives = !matches!(*request, Request::Note { .. });
    if let Ok(folder) = folder(settings, &id)
        && drives
    {
        if takes_over {
            if let Err(why) = sit_down(seats, &folder) {
                return Reply::Answered(id, Err(format!("the run can't be taken over: {why}")));
            }
        } else if let Some(driver) = other_driver(seats, &folder) {
            return Reply::Driven(id, request, driver);
        }
    }
    let request = &*request;
    let asked = || -> Result<u64, String> {
        let folder = folder(settings, &id)?;
        client::ensure_runner(&folder, &socket).map_err(|error| error.to_string())?;
        client::request(&folder, request).map_err(|error| error.to_string())
    };
    let what = match request {
        Request::Approve { .. } => "approved",
        Request::Resolve { .. } | Request::Decide { .. } => "decided",
        Request::Abort { .. } => "the run is being ended",
        Request::Note { .. } => "the note is written",
    };
    let answer = asked().map(|sequence| format!("{what} (journal entry {sequence})"));
    Reply::Answered(id, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_comes_back_as_words() {
        assert_eq!(guarded(|| 7), Ok(7));
        let told = guarded(|| -> u8 { panic!("row {} is not there\u{1b}[2J", 7) });
        assert_eq!(told, Err("a defect of lifeboat's own kept the answer away: row 7 is not there␛[2J".to_owned()));
    }
}
