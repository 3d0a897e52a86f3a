//! A transcript as one HTML file that needs nothing else: no scripts, no addresses, its style inside.

use crate::domain::event::Entry;
use crate::domain::run::Run;
use crate::report::transcript::{self, Block, Outputs, Redact};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#57606a;--line:#d0d7de;--box:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9da7b3;--line:#30363d;--box:#161b22}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{border-bottom:1px solid var(--line);margin-top:2.5rem}
h3{margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;overflow-wrap:anywhere}
th{font-weight:600;color:var(--soft);white-space:nowrap}
tbody tr+tr td,tbody tr+tr th{border-top:1px solid var(--line)}
pre{background:var(--box);border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere}
pre.command::before{content:'$ ';color:var(--soft)}
code,pre{font:13px/1.45 ui-monospace,monospace}
@media print{body{max-width:none}pre{break-inside:avoid}}
";

/// The transcript of a run as an HTML file.
#[must_use]
pub fn transcript(run: &Run, entries: &[Entry], outputs: &Outputs<'_>, redact: &Redact<'_>) -> String {
    let document = transcript::document(run, entries, outputs, redact);
    let title = escape(&document.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for section in &document.sections {
        let tag = if section.is_step { "h3" } else { "h2" };
        out.push_str(&format!("<{tag}>{}</{tag}>\n", escape(&section.heading)));
        for block in &section.blocks {
            push_block(&mut out, block);
        }
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn push_block(out: &mut String, block: &Block) {
    match block {
        Block::Paragraph(text) => out.push_str(&format!("<p>{}</p>\n", escape(text))),
        Block::Pairs(pairs) => {
            out.push_str("<table><tbody>\n");
            for (label, value) in pairs {
                let (label, value) = (escape(label), escape(value));
                out.push_str(&format!("<tr><th scope=\"row\">{label}</th><td>{value}</td></tr>\n"));
            }
            out.push_str("</tbody></table>\n");
        }
        Block::List(items) => {
            out.push_str("<ul>\n");
            items.iter().for_each(|item| out.push_str(&format!("<li>{}</li>\n", escape(item))));
            out.push_str("</ul>\n");
        }
        Block::Command(arguments) => {
            out.push_str(&format!("<pre class=\"command\">{}</pre>\n", escape(&arguments.join(" "))));
        }
        Block::Output(lines) => out.push_str(&format!("<pre>{}</pre>\n", escape(&lines.join("\n")))),
        Block::Course(rows) => {
            out.push_str(
                "<table><thead><tr><th>entry</th><th>time</th><th>hash</th><th>what</th></tr></thead><tbody>\n",
            );
            for row in rows {
                let (time, hash, what) = (escape(&row.time), escape(&row.hash), escape(&row.what));
                out.push_str(&format!(
                    "<tr><td>{}</td><td>{time}</td><td><code>{hash}</code></td><td>{what}</td></tr>\n",
                    row.sequence
                ));
            }
            out.push_str("</tbody></table>\n");
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
