//! The loop: what comes in, `update`, what goes out, and a picture when something changed.

use crate::engine::rehearsal::Rehearsal;
use crate::engine::{cast::Cast, clock, desk, external};
use crate::settings::Settings;
use crate::ui::action::Action;
use crate::ui::event::{Event, Reply};
use crate::ui::model::{Model, Setup};
use crate::ui::recorder;
use crate::ui::terminal::{self, Screen};
use crate::ui::times::Zone;
use crate::ui::update;
use crate::ui::view;
use crate::ui::worker::{Post, Worker};
use chrono::{DateTime, FixedOffset};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event as keys;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Names the theme to begin with.
const THEME: &str = "LIFEBOAT_THEME";
/// Set by `lifeboat rehearse`: the practice cluster's directory.
const PRACTICE: &str = "LIFEBOAT_PRACTICE";
/// Between two pictures that no key asked for: what moves by itself is seen well enough so, and costs a slow link little.
const BETWEEN_PICTURES: Duration = Duration::from_millis(250);
/// What follows a key so soon is its answer, and is shown at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Keys that were typed ahead are read away for at most this long.
const DROP_AT_MOST: Duration = Duration::from_secs(2);

/// What the command line knows of the person's wishes.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The settings, with the options of the command line in them.
    pub settings: Settings,
    /// How the program is called to get the same settings.
    pub program: String,
    /// ASCII only.
    pub ascii: bool,
    /// Where the session is to be recorded.
    pub record: Option<PathBuf>,
}

/// Opens the console, and returns when the person has left it.
///
/// # Errors
/// When there is no terminal, or it can't be read or written any more. Runs go on in any case.
pub fn open(wishes: Wishes) -> io::Result<()> {
    let started = Instant::now();
    if let Some(path) = &wishes.record {
        let title = format!("lifeboat on {}", desk::host().name);
        recorder::begin(Cast::create(path, Screen::size()?, clock::now(), &title)?);
    }
    let mut screen = Screen::take()?;
    let size = Screen::size()?;
    let (sender, inbox) = channel();
    let (bell, ring) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
    let post = Post::new(sender, ring);
    let farewell =
        format!("A run needs no terminal: it goes on, or waits at its gate. To come back:\n   {}", wishes.program);
    let told = post.clone();
    terminal::watch_signals(farewell, move |event| told.send(event))?;
    let worker = Worker::new(wishes.settings.clone(), post);
    let mut model = Model::new(setup(&wishes), size, clock::now());
    let practice = Rehearsal::of_settings(wishes.settings.file.as_deref());
    model.rehearsal.directory = practice.map(|practice| practice.layout.directory);
    let first = model.rehearsal.directory.is_some().then_some(Action::LoadRehearsal);
    if let Some(kept) = worker.kept() {
        update::update(&mut model, Event::Reply(Box::new(kept)));
    }
    let mut console = Console { model, worker, inbox, bell, started, pace: Pace::default() };
    console.draw(&mut screen)?;
    for action in update::begin().into_iter().chain(first) {
        console.act(action, &mut screen)?;
    }
    console.run(&mut screen)
}

fn setup(wishes: &Wishes) -> Setup {
    let settings = &wishes.settings;
    let config = settings.pgbackrest.config.as_ref().map(|config| config.display().to_string());
    let file = settings.file.as_ref().map(|file| file.display().to_string());
    Setup {
        host: desk::host().name,
        operator: desk::operator(),
        program: wishes.program.clone(),
        pgbackrest: settings.pgbackrest.binary.display().to_string(),
        config: config
            .unwrap_or_else(|| "pgBackRest's own configuration (/etc/pgbackrest.conf and its like)".to_owned()),
        settings: file.unwrap_or_else(|| format!("no settings file ({} is the usual one)", crate::settings::HOST_FILE)),
        stanza: settings.pgbackrest.stanza.clone(),
        zone: settings.operator.timezone.map_or(Zone::Host, Zone::Named),
        server_zone: Zone::Host,
        seconds: settings.console.seconds,
        ascii: wishes.ascii || settings.console.ascii,
        read_only: settings.read_only,
        depth: terminal::depth(),
        theme: std::env::var(THEME).unwrap_or_else(|_| settings.console.theme.to_owned()),
        practice: std::env::var(PRACTICE).ok().map(|directory| crate::domain::text::clean(&directory)),
    }
}

struct Console {
    model: Model,
    worker: Worker,
    /// Answers, and what signals told.
    inbox: Receiver<Event>,
    /// Something is in it.
    bell: OwnedFd,
    started: Instant,
    pace: Pace,
}

/// When a picture is made.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    /// Something came since the last one.
    is_due: bool,
    last_picture: Option<Instant>,
    last_key: Option<Instant>,
}

impl Pace {
    /// How long until the next picture; `None` where nothing came that could change it.
    fn left(&self, now: Instant) -> Option<Duration> {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let is_answer = since(self.last_key).is_some_and(|since| since < ANSWERS_WITHIN);
        let rest = since(self.last_picture).map_or(Duration::ZERO, |since| BETWEEN_PICTURES.saturating_sub(since));
        self.is_due.then_some(if is_answer { Duration::ZERO } else { rest })
    }
}

/// How long until a clock changes that goes by so many seconds.
fn until_tick(now: DateTime<FixedOffset>, every_seconds: i64) -> Duration {
    let every = Duration::from_secs(every_seconds.max(1).unsigned_abs());
    let into = u64::try_from(now.timestamp().rem_euclid(every_seconds.max(1))).unwrap_or(0);
    let nanoseconds = u64::from(now.timestamp_subsec_nanos().min(999_999_999));
    every.saturating_sub(Duration::from_secs(into) + Duration::from_nanos(nanoseconds))
}

impl Console {
    fn run(&mut self, screen: &mut Screen) -> io::Result<()> {
        while !self.model.is_over {
            self.sleep()?;
            self.pace.is_due |= self.take_all(screen)?;
            if let Some(why) = recorder::trouble() {
                self.take(Event::Reply(Box::new(Reply::Failed(why))), screen)?;
                self.pace.is_due = true;
            }
            if self.pace.left(Instant::now()) == Some(Duration::ZERO) {
                self.draw(screen)?;
            }
        }
        Ok(())
    }

    /// Until a key, an answer, a signal, a picture that is due, or the time on the screen changes.
    fn sleep(&self) -> io::Result<()> {
        if keys::poll(Duration::ZERO)? {
            return Ok(());
        }
        let tick = until_tick(clock::now(), self.model.ticks_every());
        let left = self.pace.left(Instant::now()).map_or(tick, |left| left.min(tick));
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let stdin = io::stdin();
        let mut wanted = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        match poll(&mut wanted, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = wanted[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        if gone { Err(io::Error::other("the terminal has gone; runs go on without it")) } else { Ok(()) }
    }

    /// All that has come, in one go: a picture is made once, and none where nothing came.
    fn take_all(&mut self, screen: &mut Screen) -> io::Result<bool> {
        let mut any = false;
        let mut byte = [0; 64];
        while rustix::io::read(&self.bell, &mut byte).is_ok_and(|count| count > 0) {}
        // Keys that were there at once have one time, however long it takes to go through them.
        let at = self.started.elapsed();
        while keys::poll(Duration::ZERO)? {
            self.pace.last_key = Some(Instant::now());
            let event = match keys::read()? {
                keys::Event::Key(key) => Event::Key(key, at),
                keys::Event::Paste(text) => Event::Paste(text),
                keys::Event::Resize(columns, rows) => Event::Resize(columns, rows),
                _ => continue,
            };
            self.take(event, screen)?;
            any = true;
        }
        while let Ok(event) = self.inbox.try_recv() {
            self.take(event, screen)?;
            any = true;
        }
        let now = clock::now();
        if now.timestamp() != self.model.now.timestamp() {
            self.take(Event::Tick(now), screen)?;
            any = true;
        }
        Ok(any)
    }

    fn take(&mut self, event: Event, screen: &mut Screen) -> io::Result<()> {
        for action in update::update(&mut self.model, event) {
            self.act(action, screen)?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action, screen: &mut Screen) -> io::Result<()> {
        match self.worker.take(action) {
            None => Ok(()),
            Some(Action::Copy(text)) => terminal::copy(&text),
            Some(Action::Notify(text)) => terminal::notify(&text),
            Some(Action::Title(text)) => terminal::title(&text),
            Some(Action::Redraw) => {
                screen.forget();
                Ok(())
            }
            Some(Action::Suspend) => {
                screen.suspend()?;
                self.resized()
            }
            Some(Action::DropTyped) => drop_typed(),
            Some(Action::Pager(paged)) => {
                let lines = self.worker.paged(paged);
                let shown = match lines {
                    Ok(lines) => screen.lend(|| external::page(lines))?.map_err(|error| format!("the pager: {error}")),
                    Err(why) => Err(why),
                };
                self.resized()?;
                match shown {
                    Ok(()) => Ok(()),
                    Err(why) => self.take(Event::Reply(Box::new(Reply::Failed(why))), screen),
                }
            }
            // All others are the worker's.
            Some(_) => Ok(()),
        }
    }

    fn resized(&mut self) -> io::Result<()> {
        self.model.size = Screen::size()?;
        Ok(())
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let (columns, rows) = self.model.size;
        let mut picture = Buffer::empty(Rect::new(0, 0, columns, rows));
        view::view(&self.model, &mut picture);
        self.pace = Pace { is_due: false, last_picture: Some(Instant::now()), ..self.pace };
        screen.show(picture).map(|_| ())
    }
}

/// What was typed before is not meant for what is asked now.
fn drop_typed() -> io::Result<()> {
    rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush)?;
    let begun = Instant::now();
    while begun.elapsed() < DROP_AT_MOST && keys::poll(Duration::ZERO)? {
        keys::read()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_when_something_came_and_at_once_after_a_key() {
        let now = Instant::now() + Duration::from_secs(60);
        let ago = |milliseconds| now.checked_sub(Duration::from_millis(milliseconds));
        let mut pace = Pace { is_due: false, last_picture: ago(5_000), last_key: ago(5) };
        assert_eq!(pace.left(now), None, "nothing came");
        pace.is_due = true;
        assert_eq!(pace.left(now), Some(Duration::ZERO));
        pace.last_picture = ago(10);
        assert_eq!(pace.left(now), Some(Duration::ZERO), "the answer to a key");
        pace.last_key = ago(3_000);
        assert_eq!(pace.left(now), Some(BETWEEN_PICTURES - Duration::from_millis(10)), "what moves by itself");
        pace = Pace { is_due: true, ..Pace::default() };
        assert_eq!(pace.left(now), Some(Duration::ZERO), "the first one");
    }

    #[test]
    fn the_next_tick_is_where_the_clock_on_the_screen_changes() {
        let at = |text: &str| text.parse::<DateTime<FixedOffset>>().unwrap_or_default();
        let milliseconds = |text, every| until_tick(at(text), every).as_millis();
        assert_eq!(milliseconds("2026-11-22T09:40:00.250Z", 1), 750);
        assert_eq!(milliseconds("2026-11-22T09:40:59.250Z", 60), 750);
        assert_eq!(milliseconds("2026-11-22T09:40:00Z", 60), 60_000);
    }
}
