//! The section of each step.

use crate::domain::event::{Entry, Finding, RunEvent};
use crate::domain::plan::{Step, StepKind};
use crate::domain::run::StepState;
use crate::domain::status::StepStatus;
use crate::report::choice::choice_text;
use crate::report::transcript::{Block, Maker, Section, Stream, facts, words};

pub(crate) fn sections(maker: &Maker<'_>) -> Vec<Section> {
    let count = maker.run.plan.steps.len();
    maker
        .run
        .each()
        .enumerate()
        .map(|(position, (step, state))| Section {
            is_step: true,
            heading: maker.prose(&format!("{}/{count} {}: {}", position + 1, step.id, step.title)),
            blocks: blocks(maker, position, step, state),
        })
        .collect()
}

fn blocks(maker: &Maker<'_>, position: usize, step: &Step, state: &StepState) -> Vec<Block> {
    let mut pairs = vec![maker.pair("status", state.status.word()), maker.pair("kind", &kind(step))];
    pairs.push(("why".to_owned(), maker.prose(&step.why)));
    if let Some(started) = state.started {
        pairs.push(maker.pair(if is_gate(step) { "opened" } else { "started" }, &words::both(started)));
    }
    if let Some(result) = &state.result {
        pairs.push(("result".to_owned(), maker.prose(&words::result(result))));
    }
    if state.status == StepStatus::Failed {
        pairs.push(("what it means".to_owned(), maker.prose(&step.failure)));
    }
    if let StepKind::Note { text } = &step.kind {
        pairs.push(("note".to_owned(), maker.prose(&text.to_string())));
    }
    let mut blocks = vec![Block::Pairs(pairs)];
    if let Some(command) = step.kind.command() {
        let added = command.env.iter().map(|(name, value)| format!("{name}={value}"));
        let arguments = command.argv.iter().map(ToString::to_string);
        blocks.push(Block::Command(added.chain(arguments).map(|text| words::quoted(&maker.line(&text))).collect()));
    }
    if let StepKind::Gate { answer, shows } = &step.kind {
        blocks.push(Block::Paragraph(maker.prose(&format!("Shown at the gate (the answer to type was '{answer}'):"))));
        blocks.push(Block::Pairs(
            shows.iter().map(|shown| maker.pair(&shown.label, &shown.told(&maker.run.values))).collect(),
        ));
    }
    if let StepKind::Decision { shows, choices } = &step.kind {
        blocks.push(Block::Paragraph(maker.prose("Shown for the decision, with the ways on:")));
        let shown = shows.iter().map(|shown| maker.pair(&shown.label, &shown.told(&maker.run.values)));
        let ways = choices.iter().map(|choice| maker.pair("choice", &choice_text(choice)));
        blocks.push(Block::Pairs(shown.chain(ways).collect()));
    }
    blocks.extend(what_happened(maker, step));
    blocks.extend(gate_facts(maker, step));
    blocks.extend(read_back(maker, step, state));
    for attempt in 1..=state.attempt {
        blocks.extend(output(maker, position, attempt));
    }
    blocks
}

fn is_gate(step: &Step) -> bool {
    matches!(step.kind, StepKind::Gate { .. })
}

fn kind(step: &Step) -> String {
    let word = step.kind.word();
    if step.destructive { format!("{word}, can't be undone") } else { word.to_owned() }
}

fn entries_of<'a>(maker: &'a Maker<'_>, step: &'a Step) -> impl Iterator<Item = &'a Entry> {
    maker.entries.iter().filter(|entry| entry.event.step() == Some(&step.id))
}

fn what_happened(maker: &Maker<'_>, step: &Step) -> Option<Block> {
    let list: Vec<String> = entries_of(maker, step)
        .map(|entry| maker.prose(&format!("{} {}", words::utc(entry.at), words::what_happened(&entry.event))))
        .collect();
    (!list.is_empty()).then_some(Block::List(list))
}

fn gate_facts(maker: &Maker<'_>, step: &Step) -> Vec<Block> {
    let mut blocks = Vec::new();
    for entry in entries_of(maker, step) {
        if let RunEvent::GateOpened { opening, facts: shown, .. } = &entry.event {
            blocks.push(Block::Paragraph(format!("Facts at opening {opening}:")));
            blocks.push(Block::Pairs(facts(maker, shown)));
        }
    }
    blocks
}

fn read_back(maker: &Maker<'_>, step: &Step, state: &StepState) -> Vec<Block> {
    let Some(result) = &state.result else { return Vec::new() };
    let mut blocks = Vec::new();
    if !result.findings.is_empty() {
        blocks.push(Block::List(result.findings.iter().map(|finding| maker.prose(&finding_text(finding))).collect()));
    }
    if !result.captures.is_empty() {
        blocks.push(Block::Paragraph("Read from it:".to_owned()));
        let pairs = result.captures.iter().map(|(name, value)| {
            let proves = if step.proves.contains(name) { " (part of the result)" } else { "" };
            let expected = step.expect.get(name).map_or_else(String::new, |wanted| format!(" (expected: {wanted})"));
            maker.pair(name, &format!("{value}{expected}{proves}"))
        });
        blocks.push(Block::Pairs(pairs.collect()));
    }
    blocks
}

fn finding_text(finding: &Finding) -> String {
    let holds = if finding.holds { "holds" } else { "does not hold" };
    let remedy = if finding.remedy.is_empty() { String::new() } else { format!(" What to do: {}", finding.remedy) };
    format!("{holds}: {}.{remedy}", finding.what.trim_end_matches('.'))
}

fn output(maker: &Maker<'_>, position: usize, attempt: u32) -> Vec<Block> {
    let Some(printed) = (maker.outputs)(position, attempt) else { return Vec::new() };
    let mut blocks = stream(maker, "Output", attempt, &printed.output);
    if let Some(errors) = &printed.errors {
        blocks.extend(stream(maker, "Standard error", attempt, errors));
    }
    blocks
}

fn stream(maker: &Maker<'_>, name: &str, attempt: u32, stream: &Stream) -> Vec<Block> {
    let hash = match stream.sha256_matches {
        Some(true) => "its hash is the one in the journal",
        Some(false) => "ITS HASH IS NOT THE ONE IN THE JOURNAL",
        None => "the journal carries no hash of it",
    };
    let title = format!("{name} of attempt {attempt}, {} bytes; {hash}:", stream.bytes);
    let lines = maker.lines(&stream.text_cleaned);
    if lines.is_empty() {
        return vec![Block::Paragraph(format!("{} (empty)", title.trim_end_matches(':')))];
    }
    vec![Block::Paragraph(title), Block::Output(lines)]
}
