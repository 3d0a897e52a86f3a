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
    let mut console = Console { model, worker, inbox, bell, started };
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
        ascii: wishes.ascii,
        depth: terminal::depth(),
        theme: std::env::var(THEME).unwrap_or_default(),
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
}

impl Console {
    fn run(&mut self, screen: &mut Screen) -> io::Result<()> {
        while !self.model.is_over {
            self.sleep()?;
            self.take_all(screen)?;
            if let Some(why) = recorder::trouble() {
                self.take(Event::Reply(Box::new(Reply::Failed(why))), screen)?;
            }
            self.draw(screen)?;
        }
        Ok(())
    }

    /// Until a key, an answer, a signal, or the next second.
    fn sleep(&self) -> io::Result<()> {
        if keys::poll(Duration::ZERO)? {
            return Ok(());
        }
        // The clock on the screen has seconds: it is drawn when they change.
        let now = clock::now();
        let left = 1_000_000_000 - u64::from(now.timestamp_subsec_nanos().min(999_999_999));
        let left = Timespec::try_from(Duration::from_nanos(left)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let stdin = io::stdin();
        let mut wanted = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        match poll(&mut wanted, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = wanted[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        if gone { Err(io::Error::other("the terminal has gone; runs go on without it")) } else { Ok(()) }
    }

    /// All that has come, in one go: a picture is made once.
    fn take_all(&mut self, screen: &mut Screen) -> io::Result<()> {
        let mut byte = [0; 64];
        while rustix::io::read(&self.bell, &mut byte).is_ok_and(|count| count > 0) {}
        // Keys that were there at once have one time, however long it takes to go through them.
        let at = self.started.elapsed();
        while keys::poll(Duration::ZERO)? {
            let event = match keys::read()? {
                keys::Event::Key(key) => Event::Key(key, at),
                keys::Event::Paste(text) => Event::Paste(text),
                keys::Event::Resize(columns, rows) => Event::Resize(columns, rows),
                _ => continue,
            };
            self.take(event, screen)?;
        }
        while let Ok(event) = self.inbox.try_recv() {
            self.take(event, screen)?;
        }
        let now = clock::now();
        if now.timestamp() != self.model.now.timestamp() {
            self.take(Event::Tick(now), screen)?;
        }
        Ok(())
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
