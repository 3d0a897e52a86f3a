//! What is being done: the steps, and of one of them why, the exact command, its output and what comes next.

use crate::domain::event::Verdict;
use crate::domain::plan::{Step, StepKind};
use crate::domain::progress::Far;
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::report::{lines as report_lines, status};
use crate::ui::model::{Attention, Model, RunState, attention};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::ago;
use crate::ui::widgets;
use crate::ui::width::{fit, hard, pad, pad_left};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

/// Columns of the steps beside the one that is looked at.
const STEP_COLUMNS: u16 = 58;
/// Rows of the steps above it.
const STEP_ROWS: u16 = 7;
/// Rows of the output that are kept, however much there is to say.
const OUTPUT_ROWS: usize = 3;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let Some(state) = &model.run else { return };
    let Some(run) = state.run.as_deref() else {
        let text = state.lost.clone().unwrap_or_else(|| "Reading the run's journal.".to_owned());
        let inner = widgets::panel(buffer, area, paint, &format!("Run {}", state.id), "");
        widgets::lines(buffer, inner, &widgets::paragraph(paint, Role::Text, &text, usize::from(inner.width)));
        return;
    };
    let head = Rect { height: 2.min(area.height), ..area };
    widgets::lines(buffer, head, &heading(model, paint, state, run, usize::from(area.width)));
    let rest = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    let (steps, step) = widgets::split(rest, STEP_COLUMNS, STEP_ROWS);
    draw_steps(paint, buffer, steps, state, run);
    draw_step(paint, buffer, step, state, run);
}

/// The mark of a status and how it looks.
#[must_use]
pub(super) fn mark(of: StepStatus) -> (&'static str, Role) {
    let role = match of {
        StepStatus::Pending | StepStatus::Skipped => Role::Faint,
        StepStatus::Running | StepStatus::Ready => Role::Accent,
        StepStatus::Waiting => Role::Warning,
        StepStatus::Done => Role::Good,
        StepStatus::Failed | StepStatus::Held | StepStatus::Unknown | StepStatus::Aborted => Role::Bad,
    };
    (status::mark(of), role)
}

fn heading(model: &Model, paint: Paint<'_>, state: &RunState, run: &Run, width: usize) -> Vec<Line<'static>> {
    let zone = model.setup.zone;
    let created = run.created.to_utc();
    let driven = state.driver.as_ref().map(|driver| format!("{} drives it · ", driver.name)).unwrap_or_default();
    let first = format!(
        "{driven}{} on {} · by {} · begun {} · {}",
        run.plan.runbook,
        run.host.name,
        run.by.name,
        zone.clock(created),
        ago(created, model.utc())
    );
    let first = paint.line(Role::Faint, &fit(&paint.letters(&first), width));
    let second = match (attention(run), run.ended) {
        _ if state.lost.is_some() => {
            let lost = state.lost.as_deref().unwrap_or_default();
            paint.pieces(&[(Role::Bad, "✗ this run can't be followed any more: "), (Role::Text, lost)])
        }
        (_, Some((_, at))) => {
            let (mark, role) = outcome(run.outcome_word());
            let took = report_lines::seconds(u64::try_from((at - run.created).num_milliseconds()).unwrap_or(0));
            let text =
                format!("{mark} {} after {took}, at {}", run.outcome_word().to_uppercase(), zone.both(at.to_utc()));
            paint.pieces(&[(role, &text), (Role::Faint, "  t shows the evidence")])
        }
        (Some(Attention::Gate(step, gate)), None) => {
            let again = if gate.opening > 1 { " OPENED AGAIN" } else { "" };
            let text = format!("■ GATE{again}: {}", step.title);
            paint.pieces(&[(Role::Warning, &text), (Role::Key, "  g"), (Role::Text, " goes to it")])
        }
        (Some(Attention::Unknown(step, _)), None) => {
            let text = format!("? OUTCOME UNKNOWN: {}", step.title);
            paint.pieces(&[(Role::Bad, &text), (Role::Key, "  g"), (Role::Text, " decides about it")])
        }
        (Some(Attention::Held(step, _)), None) => {
            let text = format!("! FAILED AND HELD: {}", step.title);
            paint.pieces(&[(Role::Bad, &text), (Role::Key, "  g"), (Role::Text, " says how it goes on")])
        }
        (Some(Attention::Decision(step, _)), None) => {
            let text = format!("■ DECISION: {}", step.title);
            paint.pieces(&[(Role::Warning, &text), (Role::Key, "  g"), (Role::Text, " chooses the way on")])
        }
        (None, None) if run.aborting => paint.line(Role::Warning, "■ being ended"),
        (None, None) if !state.is_runner_alive => {
            paint.line(Role::Bad, "! nobody goes on with it: its runner is gone; r starts another one")
        }
        (None, None) => match &state.progress {
            Some(progress) => {
                let whole = status::line(progress);
                // The title stands below: what moves goes first where there is no room for both.
                let room = width.saturating_sub(2);
                let short = whole.replacen(&format!(" {}", progress.title), "", 1);
                let line = if paint.letters(&whole).width() <= room { whole } else { short };
                paint.line(Role::Accent, &format!("▸ {}", fit(&paint.letters(&line), room)))
            }
            None => paint.line(Role::Accent, "▸ between two steps"),
        },
    };
    vec![first, second]
}

/// The mark of an outcome's word.
pub(super) fn outcome(word: &str) -> (&'static str, Role) {
    match word {
        "done" => ("✔", Role::Good),
        "failed" => ("✗", Role::Bad),
        "aborted" => ("■", Role::Bad),
        "waiting" => ("■", Role::Warning),
        "unknown" => ("?", Role::Bad),
        _ => ("▸", Role::Accent),
    }
}

fn draw_steps(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, state: &RunState, run: &Run) {
    let done = run.steps.iter().filter(|state| !matches!(state.status, StepStatus::Pending)).count();
    let inner = widgets::panel(buffer, area, paint, "Steps", &format!("{done} of {}", run.steps.len()));
    let width = usize::from(inner.width);
    widgets::list(buffer, inner, paint, run.steps.len(), Some(state.position()), |index| {
        let (step, state) = (&run.plan.steps[index], &run.steps[index]);
        let (mark, role) = mark(state.status);
        let took = state.result.as_ref().map(|result| report_lines::seconds(result.milliseconds)).unwrap_or_default();
        let number = format!("{:>3} ", index + 1);
        let destructive = if step.destructive { "! " } else { "  " };
        let title = pad(&paint.letters(&step.title), width.saturating_sub(18));
        let title_role = if state.status == StepStatus::Pending || state.status == StepStatus::Skipped {
            Role::Faint
        } else {
            Role::Text
        };
        paint.pieces(&[
            (role, mark),
            (Role::Faint, &number),
            (Role::Warning, destructive),
            (title_role, &title),
            (Role::Faint, &pad_left(&took, 9)),
        ])
    });
}

fn draw_step(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, state: &RunState, run: &Run) {
    let Some((step, step_state)) = state.step() else { return };
    let position = state.position();
    let remark = format!("{} · {}", step.kind.word(), step_state.status.word());
    let title = format!("{} {}", position + 1, step.title);
    let inner = widgets::panel(buffer, area, paint, &title, &remark);
    let width = usize::from(inner.width);
    let mut lines = progress_lines(paint, state, run, position, width);
    lines.extend(widgets::paragraph(paint, Role::Faint, &step.why, width));
    lines.extend(kind_lines(paint, run, step, width));
    lines.extend(result_lines(paint, step, step_state, width));
    let height = usize::from(inner.height).saturating_sub(1);
    let has_output = state.output.key.is_some();
    let room = height.saturating_sub(if has_output { OUTPUT_ROWS + 1 } else { 0 });
    if lines.len() > room {
        lines.truncate(room.saturating_sub(1));
        lines.push(paint.line(Role::Faint, "…  (all of it is in the plan and the transcript: t)"));
    }
    let used = u16::try_from(lines.len()).unwrap_or(inner.height);
    widgets::lines(buffer, inner, &lines);
    if has_output {
        let output =
            Rect { y: inner.y + used, height: (inner.height - used.min(inner.height)).saturating_sub(1), ..inner };
        draw_output(paint, buffer, output, state);
    }
    let next = Rect { y: inner.y + inner.height.saturating_sub(1), height: 1.min(inner.height), ..inner };
    widgets::lines(buffer, next, &[next_line(paint, run, position)]);
}

fn kind_lines(paint: Paint<'_>, run: &Run, step: &Step, width: usize) -> Vec<Line<'static>> {
    match &step.kind {
        StepKind::Gate { answer, shows } => {
            let mut rows: Vec<(&str, String)> =
                shows.iter().map(|shown| (shown.label.as_str(), shown.told(&run.values))).collect();
            rows.push(("to be typed", answer.clone()));
            widgets::pairs(paint, &rows, width)
        }
        StepKind::Decision { shows, choices } => {
            let mut rows: Vec<(&str, String)> =
                shows.iter().map(|shown| (shown.label.as_str(), shown.told(&run.values))).collect();
            rows.extend(choices.iter().map(|choice| (choice.id.as_str(), choice.title.clone())));
            widgets::pairs(paint, &rows, width)
        }
        StepKind::Note { text } => widgets::paragraph(paint, Role::Text, &text.to_string(), width),
        StepKind::Check { check, .. } => widgets::pairs(paint, &[("check", check.clone())], width),
        StepKind::Wait { server, .. } => widgets::pairs(paint, &[("watches", server.to_string())], width),
        StepKind::Command { command }
        | StepKind::Server { command }
        | StepKind::Stop { command, .. }
        | StepKind::Sql { command } => widgets::command(paint, command, width),
    }
}

/// A bar where the whole is known.
fn progress_lines(paint: Paint<'_>, state: &RunState, run: &Run, position: usize, width: usize) -> Vec<Line<'static>> {
    let Some(progress) = state.progress.as_ref().filter(|progress| progress.number == position + 1) else {
        return Vec::new();
    };
    if run.ended.is_some() {
        return Vec::new();
    }
    let overdue = if progress.overdue { " OVERDUE" } else { "" };
    match &progress.far {
        Some(Far::Restore { hundredths, .. }) => {
            let count = width.saturating_sub(20).min(60);
            let bar = widgets::bar(u64::from(*hundredths), 10_000, count);
            let percent = format!(" {:>3}.{} %{overdue}", hundredths / 100, hundredths % 100 / 10);
            vec![paint.pieces(&[(Role::Accent, &bar), (Role::Text, &percent)])]
        }
        _ if progress.overdue => {
            vec![paint.line(Role::Warning, "! it takes longer than it should; it is not ended for that")]
        }
        _ => Vec::new(),
    }
}

fn result_lines(paint: Paint<'_>, step: &Step, state: &StepState, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for remark in &state.remarks {
        lines.extend(widgets::paragraph(paint, Role::Warning, &format!("! {remark}"), width));
    }
    let Some(result) = &state.result else { return lines };
    if let Some(reason) = &result.reason {
        let role = if result.verdict == Verdict::Done { Role::Text } else { Role::Bad };
        lines.extend(widgets::paragraph(paint, role, &format!("✗ {reason}"), width));
    }
    for finding in &result.findings {
        let (mark, role) = if finding.holds { ("✔ ", Role::Text) } else { ("✗ ", Role::Bad) };
        lines.extend(widgets::paragraph(paint, role, &format!("{mark}{}", finding.what), width));
        if !finding.holds && !finding.remedy.is_empty() {
            lines.extend(widgets::paragraph(paint, Role::Text, &format!("  → {}", finding.remedy), width));
        }
    }
    if result.verdict == Verdict::Failed && !step.failure.is_empty() {
        lines.extend(widgets::paragraph(paint, Role::Text, &format!("→ {}", step.failure), width));
    }
    let captures: Vec<(&str, String)> =
        result.captures.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    lines.extend(widgets::pairs(paint, &captures, width));
    lines
}

fn draw_output(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, state: &RunState) {
    let view = &state.output;
    let page = &view.page;
    let share = (page.end * 100).checked_div(page.length).unwrap_or(100);
    let place = if view.is_followed { "the end".to_owned() } else { format!("{share} %") };
    let search = if view.search.is_empty() { String::new() } else { format!(" · '{}' n N", view.search) };
    let remark = format!("{} · {place}{search}", status::size(page.length));
    let inner = widgets::panel(buffer, area, paint, "Output", &remark);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let mut lines: Vec<String> = Vec::new();
    for (_, line) in &page.lines {
        let line = paint.letters(line);
        if view.is_wrapped {
            lines.extend(hard(&line, width));
        } else {
            lines.push(fit(&line, width));
        }
    }
    let skipped = if view.is_followed { lines.len().saturating_sub(height) } else { 0 };
    let wanted = view.search.to_lowercase();
    let shown: Vec<Line<'static>> = lines[skipped..]
        .iter()
        .take(height)
        .map(|line| {
            let hit = !wanted.is_empty() && line.to_lowercase().contains(&wanted);
            paint.line(if hit { Role::Accent } else { Role::Text }, line)
        })
        .collect();
    widgets::lines(buffer, inner, &shown);
}

fn next_line(paint: Paint<'_>, run: &Run, position: usize) -> Line<'static> {
    let next = run
        .each()
        .enumerate()
        .skip(position + 1)
        .find(|(_, (step, state))| step.ruled_out.is_none() && state.status == StepStatus::Pending);
    match next {
        Some((index, (step, _))) if run.ended.is_none() => {
            let what = if matches!(step.kind, StepKind::Gate { .. }) { "gate: " } else { "" };
            let text = format!("{} {what}{}", index + 1, step.title);
            paint.pieces(&[(Role::Faint, "next  "), (Role::Text, &text)])
        }
        _ => Line::default(),
    }
}
