//! A transcript as Markdown (CommonMark with tables).

use crate::domain::event::Entry;
use crate::domain::run::Run;
use crate::report::transcript::{self, Block, Outputs, Redact};

/// The transcript of a run as Markdown. Nothing in it is read as markup, HTML or a link.
#[must_use]
pub fn transcript(run: &Run, entries: &[Entry], outputs: &Outputs<'_>, redact: &Redact<'_>) -> String {
    let document = transcript::document(run, entries, outputs, redact);
    let mut out = format!("# {}\n", escape(&document.title));
    for section in &document.sections {
        let level = if section.is_step { "###" } else { "##" };
        out.push_str(&format!("\n{level} {}\n", escape(&section.heading)));
        for block in &section.blocks {
            out.push('\n');
            push_block(&mut out, block);
        }
    }
    out
}

fn push_block(out: &mut String, block: &Block) {
    match block {
        Block::Paragraph(text) => out.push_str(&format!("{}\n", escape(text))),
        Block::Pairs(pairs) => {
            out.push_str("| what | value |\n|---|---|\n");
            for (label, value) in pairs {
                out.push_str(&format!("| {} | {} |\n", escape(label), escape(value)));
            }
        }
        Block::List(items) => items.iter().for_each(|item| out.push_str(&format!("- {}\n", escape(item)))),
        Block::Command(arguments) => push_fenced(out, &[arguments.join(" ")]),
        Block::Output(lines) => push_fenced(out, lines),
        Block::Course(rows) => {
            out.push_str("| entry | time | hash | what |\n|---:|---|---|---|\n");
            for row in rows {
                let what = escape(&row.what);
                out.push_str(&format!("| {} | {} | {} | {what} |\n", row.sequence, row.time, row.hash));
            }
        }
    }
}

/// A fence longer than any run of backticks inside can't be closed by what stands inside.
fn push_fenced(out: &mut String, lines: &[String]) {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`').map(str::len)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("{fence}text\n{}\n{fence}\n", lines.join("\n")));
}

/// What would begin markup, HTML or a link gets a backslash or becomes an entity; what does so only at the beginning
/// of a block, only there. The rest stays as it is, since people read Markdown unrendered too.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let lists = digits > 0 && [". ", ") "].iter().any(|marker| rest.starts_with(marker) || rest == marker.trim_end());
    for (index, character) in text.char_indices() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', character]),
            '#' | '+' | '-' | '=' | ' ' if index == 0 => out.push_str(&format!("&#{};", u32::from(character))),
            '.' | ')' if lists && index == digits => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_as_markup() {
        assert_eq!(escape("<b>*x* [a](http://b) | 1. c"), "&lt;b&gt;\\*x\\* \\[a\\](http:&#47;&#47;b) \\| 1. c");
        assert_eq!(escape("# no heading"), "&#35; no heading");
        assert_eq!(escape("12. no list - no rule"), "12\\. no list - no rule");
        assert_eq!(escape("- no item"), "&#45; no item");
        assert_eq!(escape("2.45 at 2026-11-22"), "2.45 at 2026-11-22");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let mut out = String::new();
        push_fenced(&mut out, &["a ```` b".to_owned(), "```".to_owned()]);
        assert_eq!(out, "`````text\na ```` b\n```\n`````\n");
    }
}
