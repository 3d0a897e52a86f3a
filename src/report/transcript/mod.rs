//! What a transcript says, before it is laid out as text, Markdown or HTML.
//!
//! Every text in a document has gone through the caller's redaction and through [`crate::domain::text`]: the
//! layouts can show it as it is, escaping only what their own format would obey.

pub(crate) mod proof;
mod steps;
pub(crate) mod words;

use crate::domain::event::{Entry, RunEvent};
use crate::domain::facts::Facts;
use crate::domain::run::Run;
use crate::domain::text::{clean, clean_lines};

/// One stream of a step's output, as the caller read it from the step's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its text, cleaned; where it is long, head and tail and how much was left out between them.
    pub text_cleaned: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// Whether the file is the one whose SHA-256 the journal carries; `None` when the journal carries none.
    pub sha256_matches: Option<bool>,
}

/// The output of one attempt of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOutput {
    /// Standard output, with standard error in it unless that is apart.
    pub output: Stream,
    /// Standard error, where standard output is data.
    pub errors: Option<Stream>,
}

/// Gives the output of a step (position from 0, attempt from 1), or `None` when there is none.
pub type Outputs<'a> = dyn Fn(usize, u32) -> Option<StepOutput> + 'a;

/// Removes secrets from a text.
pub type Redact<'a> = dyn Fn(&str) -> String + 'a;

/// A transcript as a list of sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) title: String,
    pub(crate) sections: Vec<Section>,
}

/// A heading with what stands under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// A step's section stands below the section of all steps.
    pub(crate) is_step: bool,
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Pairs(Vec<(String, String)>),
    Paragraph(String),
    List(Vec<String>),
    /// Arguments, quoted so that a shell would read them as they were given to exec.
    Command(Vec<String>),
    Output(Vec<String>),
    Course(Vec<CourseRow>),
}

/// One entry of the journal in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CourseRow {
    pub(crate) sequence: u64,
    pub(crate) time: String,
    pub(crate) what: String,
    pub(crate) hash: String,
}

/// What the pieces of a document are made with.
pub(crate) struct Maker<'a> {
    pub(crate) run: &'a Run,
    pub(crate) entries: &'a [Entry],
    pub(crate) outputs: &'a Outputs<'a>,
    pub(crate) redact: &'a Redact<'a>,
}

impl Maker<'_> {
    /// A line of text from outside: without secrets, cleaned.
    pub(crate) fn line(&self, text: &str) -> String {
        clean(&(self.redact)(text))
    }

    /// Text that was written as prose: line ends and runs of blanks are one blank.
    pub(crate) fn prose(&self, text: &str) -> String {
        let redacted = (self.redact)(text);
        clean(&redacted.split([' ', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
    }

    /// The lines of an output.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        clean_lines(&(self.redact)(text)).lines().map(str::to_owned).collect()
    }

    fn pair(&self, label: &str, value: &str) -> (String, String) {
        (self.line(label), self.line(value))
    }
}

/// Makes the document.
pub(crate) fn document(run: &Run, entries: &[Entry], outputs: &Outputs<'_>, redact: &Redact<'_>) -> Document {
    let maker = Maker { run, entries, outputs, redact };
    let mut sections = vec![summary(&maker)];
    sections.extend(decisions(&maker));
    sections.extend([proof::proven(&maker), proof::not_proven(&maker), plan(&maker)]);
    sections.push(Section { is_step: false, heading: "Steps".into(), blocks: Vec::new() });
    sections.extend(steps::sections(&maker));
    sections.push(course(&maker));
    sections.push(evidence(&maker));
    Document { title: maker.line(&format!("Transcript of run {}: {}", run.id, run.plan.runbook)), sections }
}

fn section(heading: &str, blocks: Vec<Block>) -> Section {
    Section { is_step: false, heading: heading.to_owned(), blocks }
}

fn summary(maker: &Maker<'_>) -> Section {
    let run = maker.run;
    let mut pairs = vec![
        maker.pair("outcome", run.outcome_word()),
        maker.pair("asked for", &format!("{} (runbook {})", run.plan.title, run.plan.runbook)),
        maker.pair("by", &words::operator(&run.by)),
        maker.pair("on host", &words::host(&run.host)),
        maker.pair("created", &words::both(run.created)),
    ];
    if let Some((_, at)) = run.ended {
        let milliseconds = (at - run.created).num_milliseconds();
        pairs.push(maker.pair("ended", &words::both(at)));
        pairs.push(maker.pair("took", &words::duration(u64::try_from(milliseconds).unwrap_or(0))));
    } else {
        pairs.push(maker.pair("ended", "not yet"));
    }
    pairs.push(maker.pair("plan's seal", &run.plan.seal.to_string()));
    pairs.push(maker.pair("journal's head", &format!("{} (entry {})", run.head, run.sequence)));
    section("What was asked for, and what came of it", vec![Block::Pairs(pairs)])
}

/// What people decided and wrote down, in order: the incident's timeline.
fn decisions(maker: &Maker<'_>) -> Option<Section> {
    let decided = |event: &RunEvent| {
        matches!(
            event,
            RunEvent::GateAnswered { .. }
                | RunEvent::DecisionMade { .. }
                | RunEvent::StepResolved { .. }
                | RunEvent::AbortRequested { .. }
                | RunEvent::NoteWritten { .. }
        )
    };
    let entries = maker.entries.iter().filter(|entry| decided(&entry.event));
    let list: Vec<String> =
        entries.map(|entry| maker.prose(&format!("{} {}", words::utc(entry.at), words::event(&entry.event)))).collect();
    (!list.is_empty()).then(|| section("What people decided", vec![Block::List(list)]))
}

fn plan(maker: &Maker<'_>) -> Section {
    let plan = &maker.run.plan;
    let reviewed = maker.entries.first().and_then(|entry| match &entry.event {
        RunEvent::RunCreated { plan, .. } => Some(plan.seal),
        _ => None,
    });
    let mut seals = vec![maker.pair("runbook's SHA-256", &plan.runbook_digest.to_string())];
    if let Some(seal) = reviewed {
        seals.push(maker.pair("seal as created", &seal.to_string()));
    }
    if reviewed != Some(plan.seal) {
        seals.push(maker.pair("seal with captured values", &plan.seal.to_string()));
    }
    let mut blocks = vec![Block::Pairs(seals)];
    let mut group = |title: &str, pairs: Vec<(String, String)>| {
        if !pairs.is_empty() {
            blocks.push(Block::Paragraph(title.to_owned()));
            blocks.push(Block::Pairs(pairs));
        }
    };
    group("Parameters:", plan.parameters.iter().map(|(name, value)| maker.pair(name, value)).collect());
    group("Facts read from the machine when the plan was made:", facts(maker, &plan.facts));
    group(
        "Environment of every command (values of secrets are never stored):",
        plan.environment.iter().map(|(name, value)| maker.pair(name, value)).collect(),
    );
    section("The plan", blocks)
}

/// Facts as labels and values; a threshold with its bound.
pub(crate) fn facts(maker: &Maker<'_>, facts: &Facts) -> Vec<(String, String)> {
    let identity = facts.identity.iter().map(|(name, value)| maker.pair(name, value));
    let thresholds = facts.thresholds.iter().map(|(name, reading)| maker.pair(name, &reading.words()));
    identity.chain(thresholds).collect()
}

fn course(maker: &Maker<'_>) -> Section {
    let mut boot = None;
    let rows = maker.entries.iter().map(|entry| {
        let booted = boot.replace(&entry.boot_id).is_some_and(|before| before != &entry.boot_id);
        let note = if booted { " (the host was started anew before this)" } else { "" };
        CourseRow {
            sequence: entry.sequence,
            time: words::utc(entry.at),
            what: maker.prose(&format!("{}{note}", words::event(&entry.event))),
            hash: entry.hash.short(),
        }
    });
    let rows = rows.collect();
    section("The journal, entry by entry", vec![Block::Paragraph("Times are UTC.".into()), Block::Course(rows)])
}

fn evidence(maker: &Maker<'_>) -> Section {
    let head = maker.run.head;
    let text = "Each entry of the journal carries the hash of the one before. Whoever recorded this head elsewhere (it is \
                shown at every gate) can prove that nothing before it was altered:";
    let id = maker.run.id.as_str();
    let command = ["lifeboat", "transcript", id, "--verify", "--head", &head.to_string()].map(str::to_owned);
    section("How to check this", vec![Block::Paragraph(text.into()), Block::Command(command.to_vec())])
}
