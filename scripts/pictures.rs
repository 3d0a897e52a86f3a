//! Makes the pictures of `assets/`: `make pictures`.
//!
//! It rehearses: `lifeboat rehearse --record` builds a practice cluster and breaks it, keys are sent as a person sends
//! them, and the recovery is led to its pause. What the recording holds at four moments is played back through a terminal
//! emulator, and each cell becomes a cell of an SVG. Nothing is drawn by hand. Times, positions and the run's name are
//! those of the rehearsal, so the pictures differ a little each time; the accident and the layout do not.

use anyhow::{Context as _, Result, bail, ensure};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr as _;

/// Columns and rows: as wide as a page of text shows well.
const SIZE: (u16, u16) = (100, 30);
/// For the longest wait: the practice cluster is built in it.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longer than keys that were typed ahead are dropped for.
const PAUSE: Duration = Duration::from_millis(600);
/// A cell, and the text in it, in pixels.
const CELL: (f32, f32) = (8.4, 18.0);
const FONT: f32 = 14.0;
const MARGIN: f32 = 12.0;
/// The terminal's own colours.
const COLOURS: (&str, &str) = ("#d6d6d6", "#16181d");

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(lifeboat), Some(into)) = (arguments.next(), arguments.next()) else {
        bail!("how it is called: pictures LIFEBOAT DIRECTORY");
    };
    let lifeboat = lifeboat.canonicalize().with_context(|| lifeboat.display().to_string())?;
    // Short and the same each time: it stands in the pictures.
    let home = std::env::temp_dir().join("lifeboat-pictures");
    ensure!(!home.exists(), "{} is there already: is it of another one that runs, or was left?", home.display());
    std::fs::create_dir(&home)?;
    // Its server runs as another user where this is root.
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let (practice, cast) = (home.join("practice"), home.join("session.cast"));
    let taken = rehearse(&lifeboat, &practice, &cast);
    let ended = Command::new(&lifeboat).args(["rehearse", "--stop"]).arg(&practice).status();
    let drawn = taken.and_then(|taken| draw(&cast, &taken, &into));
    ensure!(
        ended.is_ok_and(|status| status.success()),
        "{} is left: its practice cluster was not ended",
        home.display()
    );
    std::fs::remove_dir_all(&home)?;
    drawn
}

/// A name for a picture, and how many lines of the recording come before it.
type Taken = Vec<(&'static str, usize)>;

/// Leads a recovery to its pause; when the pictures were taken.
fn rehearse(lifeboat: &Path, practice: &Path, cast: &Path) -> Result<Taken> {
    let mut command = CommandBuilder::new(lifeboat);
    command.args(["rehearse", "--seed", "3", "--directory"]);
    command.arg(practice);
    command.arg("--record");
    command.arg(cast);
    for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")] {
        command.env(name, value);
    }
    command.env_remove("NO_COLOR");
    let mut terminal = Terminal::start(command)?;
    let mut taken = Taken::new();
    terminal.wait_for("since then")?;
    terminal.wait_for("Since about ")?;
    let about = told(&terminal.text()).context("the page tells a time")?;
    terminal.send("1")?;
    terminal.wait_for("no drill")?;
    terminal.take(&mut taken, "inventory", cast)?;
    terminal.send("5")?;
    terminal.wait_for("About when did it happen")?;
    terminal.send(&about)?;
    terminal.wait_for(&format!("> {about}"))?;
    terminal.send("\r")?;
    terminal.wait_for("the first is here")?;
    terminal.take(&mut taken, "accident", cast)?;
    terminal.send("\r")?;
    terminal.wait_for("in place")?;
    std::thread::sleep(PAUSE);
    terminal.send("pitr-in-place")?;
    std::thread::sleep(PAUSE);
    terminal.send("\r")?;
    terminal.wait_for("b begins the run")?;
    terminal.send("b")?;
    terminal.approve("GATE: Take production away from its users", |_| Ok(()))?;
    terminal
        .approve("GATE: Overwrite production's data directory", |terminal| terminal.take(&mut taken, "gate", cast))?;
    terminal.wait_for("DECISION: Look, and choose the way on")?;
    terminal.send("g")?;
    terminal.wait_for("Choose the way on")?;
    terminal.take(&mut taken, "paused", cast)?;
    terminal.send("\u{1b}")?;
    std::thread::sleep(PAUSE);
    terminal.send("q")?;
    terminal.end()?;
    Ok(taken)
}

/// The time in the page: `12:31:07`.
fn told(page: &str) -> Option<String> {
    let time: String = page.split_once("Since about ")?.1.chars().take(8).collect();
    time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':').then_some(time)
}

/// The real program in a terminal.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    _master: Box<dyn MasterPty + Send>,
}

fn emulator() -> Result<vt100::Parser> {
    let number = |size| NonZeroU16::new(size).context("a size");
    Ok(vt100::Parser::new(number(SIZE.1)?, number(SIZE.0)?, 0))
}

impl Terminal {
    fn start(command: CommandBuilder) -> Result<Terminal> {
        let size = PtySize { rows: SIZE.1, cols: SIZE.0, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(emulator()?));
        let (mut reader, into) = (pair.master.try_clone_reader()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                into.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..count]);
            }
        });
        Ok(Terminal { child, writer: pair.master.take_writer()?, screen, _master: pair.master })
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    fn wait_for(&mut self, text: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            ensure!(Instant::now() < until, "waited in vain for '{text}':\n{}", self.text());
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended ({status}) before it showed '{text}':\n{}", self.text());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    fn send(&mut self, keys: &str) -> Result<()> {
        self.writer.write_all(keys.as_bytes())?;
        Ok(self.writer.flush()?)
    }

    /// Goes to a gate, looks, and types its answer as a hand does.
    fn approve(&mut self, gate: &str, look: impl FnOnce(&mut Terminal) -> Result<()>) -> Result<()> {
        self.wait_for(gate)?;
        self.send("g")?;
        self.wait_for("Type main and Enter to go on")?;
        std::thread::sleep(PAUSE);
        look(self)?;
        loop {
            for key in "main\r".chars() {
                self.send(&key.to_string())?;
                std::thread::sleep(Duration::from_millis(70));
            }
            std::thread::sleep(PAUSE);
            // A busy machine had the keys arrive in one go.
            if !self.text().contains("faster than a hand") {
                return Ok(());
            }
        }
    }

    /// A picture of what is on the screen now.
    fn take(&mut self, taken: &mut Taken, name: &'static str, cast: &Path) -> Result<()> {
        std::thread::sleep(PAUSE);
        let lines = std::fs::read_to_string(cast)?.lines().count();
        taken.push((name, lines));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }
}

/// Plays the recording back and draws what stands on the screen at each moment.
fn draw(cast: &Path, taken: &Taken, into: &Path) -> Result<()> {
    let text = std::fs::read_to_string(cast)?;
    let mut emulator = emulator()?;
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            let (_, kind, data): (f64, String, String) = serde_json::from_str(line)?;
            ensure!(kind == "o", "the terminal had one size: {line}");
            emulator.process(data.as_bytes());
        }
        for (name, _) in taken.iter().filter(|(_, lines)| *lines == number + 1) {
            let file = into.join(format!("{name}.svg"));
            std::fs::write(&file, svg(emulator.screen())?).with_context(|| file.display().to_string())?;
            writeln!(std::io::stderr(), "{}", file.display())?;
        }
    }
    Ok(())
}

/// How a cell looks.
#[derive(PartialEq, Clone)]
struct Look {
    text: String,
    ground: String,
    bold: bool,
}

fn look(cell: &vt100::Cell) -> Look {
    let (mut text, mut ground) = (colour(cell.fgcolor(), COLOURS.0), colour(cell.bgcolor(), COLOURS.1));
    if cell.inverse() {
        std::mem::swap(&mut text, &mut ground);
    }
    Look { text, ground, bold: cell.bold() }
}

fn colour(colour: vt100::Color, own: &str) -> String {
    match colour {
        vt100::Color::Default => own.to_owned(),
        vt100::Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
        // True colours were asked for.
        vt100::Color::Idx(_) => own.to_owned(),
    }
}

/// The screen as an SVG: a rectangle behind every run of cells with a ground of its own, a text for every run that looks
/// the same. Each text is told its width, so that columns stand whatever font there is.
fn svg(screen: &vt100::Screen) -> Result<String> {
    let (columns, rows) = SIZE;
    let (width, height) = (f32::from(columns) * CELL.0 + 2.0 * MARGIN, f32::from(rows) * CELL.1 + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-size=\"{FONT}\" \
         font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        COLOURS.1
    );
    for row in 0..rows {
        let top = MARGIN + f32::from(row) * CELL.1;
        let mut column = 0;
        while column < columns {
            let first = screen.cell(row, column).context("a cell")?;
            let (begun, of) = (column, look(first));
            let mut text = String::new();
            while let Some(cell) = screen.cell(row, column).filter(|cell| look(cell) == of) {
                if !cell.is_wide_continuation() {
                    text.push_str(if cell.has_contents() { cell.contents() } else { " " });
                }
                column += 1;
            }
            run(&mut out, (begun, column), top, &of, &text)?;
        }
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn run(out: &mut String, (from, to): (u16, u16), top: f32, look: &Look, text: &str) -> Result<()> {
    let left = |column: u16| MARGIN + f32::from(column) * CELL.0;
    if look.ground != COLOURS.1 {
        let (x, width) = (left(from), left(to) - left(from));
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{}\"/>",
            CELL.1, look.ground
        )?;
    }
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    for (before, words) in words(text) {
        let (x, columns) = (left(from) + columns_of(before), columns_of(words));
        let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{columns:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{}\"{bold}>{escaped}</text>",
            top + CELL.1 * 0.74,
            look.text
        )?;
    }
    Ok(())
}

fn columns_of(text: &str) -> f32 {
    f32::from(u16::try_from(text.width()).unwrap_or(SIZE.0)) * CELL.0
}

/// The pieces of a text between wide gaps, each with what stands before it: blanks in a row are no more than one for who
/// shows an SVG, so every piece gets a place of its own.
fn words(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split("  ") {
        let words = piece.trim();
        if !words.is_empty() {
            let begins = at + piece.len() - piece.trim_start().len();
            found.push((&text[..begins], words));
        }
        at += piece.len() + 2;
    }
    found
}
