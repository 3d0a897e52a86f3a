//! The paths in a source text, without a compiler: comments, texts and what is built only for tests are left out.

/// A path as written (`crate`, `engine`, `clock`) with `use` groups taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its segments; `*` may be the last one.
    pub(crate) segments: Vec<String>,
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    /// It stands in a `pub use`; with the name it is handed on under.
    pub(crate) handed_on: Option<String>,
}

/// What a source says.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Paths with two or more segments, and every name in a `use`.
    pub(crate) paths: Vec<Written>,
    /// Modules declared as files that only tests have.
    pub(crate) only_for_tests: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Sign(char),
}

/// Reads a source text.
pub(crate) fn read(text: &str) -> Source {
    let tokens = tokens(text);
    let mut source = Source::default();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = skip_item(&tokens, at + 7, &mut source.only_for_tests);
            continue;
        }
        match &tokens[at].0 {
            Token::Word(word) if word == "use" => {
                let public = before_is_public(&tokens[..at]);
                at = tree(&tokens, at + 1, &mut Vec::new(), public, &mut source.paths);
            }
            Token::Word(_) | Token::Colons => at = plain(&tokens, at, &mut source.paths),
            Token::Sign(_) => at += 1,
        }
    }
    source
}

fn word(tokens: &[(Token, usize)], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word),
        _ => None,
    }
}

fn is(tokens: &[(Token, usize)], at: usize, sign: char) -> bool {
    tokens.get(at).is_some_and(|(token, _)| *token == Token::Sign(sign))
}

/// `#[cfg(test)]`
fn is_test_attribute(tokens: &[(Token, usize)]) -> bool {
    is(tokens, 0, '#')
        && is(tokens, 1, '[')
        && word(tokens, 2) == Some("cfg")
        && is(tokens, 3, '(')
        && word(tokens, 4) == Some("test")
        && is(tokens, 5, ')')
        && is(tokens, 6, ']')
}

/// Behind the item that begins at `at`: its block, or its semicolon.
fn skip_item(tokens: &[(Token, usize)], mut at: usize, modules: &mut Vec<String>) -> usize {
    let begin = at;
    let mut depth = 0usize;
    while at < tokens.len() {
        match tokens[at].0 {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            Token::Sign(';') if depth == 0 => {
                if let (Some("mod"), Some(name)) = (word(tokens, begin), word(tokens, begin + 1)) {
                    modules.push(name.to_owned());
                }
                return at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// `pub` or `pub(…)` right before a `use`.
fn before_is_public(tokens: &[(Token, usize)]) -> bool {
    let last = tokens.len().wrapping_sub(1);
    word(tokens, last) == Some("pub")
        || is(tokens, last, ')') && word(tokens, tokens.len().wrapping_sub(4)) == Some("pub")
}

/// One tree of a `use`, from `at`; gives the place behind it.
fn tree(
    tokens: &[(Token, usize)],
    mut at: usize,
    prefix: &mut Vec<String>,
    public: bool,
    paths: &mut Vec<Written>,
) -> usize {
    let kept = prefix.len();
    let line = tokens.get(at).map_or(0, |(_, line)| *line);
    let mut group = false;
    loop {
        match tokens.get(at).map(|(token, _)| token) {
            Some(Token::Word(name)) if name != "as" => prefix.push(name.clone()),
            Some(Token::Sign('*')) => prefix.push("*".to_owned()),
            Some(Token::Colons) => {}
            Some(Token::Sign('{')) => {
                group = true;
                at += 1;
                while at < tokens.len() && !is(tokens, at, '}') {
                    at = tree(tokens, at, prefix, public, paths);
                    if is(tokens, at, ',') {
                        at += 1;
                    }
                }
            }
            _ => break,
        }
        at += 1;
    }
    let mut name = prefix.last().cloned();
    if word(tokens, at) == Some("as") {
        name = word(tokens, at + 1).map(str::to_owned);
        at += 2;
    }
    if prefix.last().is_some_and(|last| last == "self") && prefix.len() > 1 {
        prefix.pop();
    }
    if !group && !prefix.is_empty() {
        let handed_on = name.filter(|_| public);
        paths.push(Written { segments: prefix.clone(), line, handed_on });
    }
    prefix.truncate(kept);
    at
}

/// A path in code; single words are none.
fn plain(tokens: &[(Token, usize)], mut at: usize, paths: &mut Vec<Written>) -> usize {
    let line = tokens[at].1;
    if tokens[at].0 == Token::Colons {
        at += 1;
    }
    let mut segments = Vec::new();
    while let Some(name) = word(tokens, at) {
        segments.push(name.to_owned());
        at += 1;
        if !tokens.get(at).is_some_and(|(token, _)| *token == Token::Colons) || word(tokens, at + 1).is_none() {
            break;
        }
        at += 1;
    }
    if segments.len() > 1 {
        paths.push(Written { segments, line, handed_on: None });
    }
    at
}

/// Words, `::` and signs, each with its line.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let characters: Vec<char> = text.chars().collect();
    let (mut found, mut line, mut at) = (Vec::new(), 1, 0);
    while at < characters.len() {
        let end = match characters[at] {
            '/' if characters.get(at + 1) == Some(&'/') => until(&characters, at, |rest| rest[0] == '\n'),
            '/' if characters.get(at + 1) == Some(&'*') => block_comment(&characters, at),
            '"' => quoted(&characters, at),
            '\'' => character(&characters, at),
            'r' | 'b' | 'c' if raw_text(&characters, at).is_some() => raw_text(&characters, at).unwrap_or(at + 1),
            first if first.is_alphabetic() || first == '_' => {
                let end = until(&characters, at, |rest| !rest[0].is_alphanumeric() && rest[0] != '_');
                found.push((Token::Word(characters[at..end].iter().collect()), line));
                end
            }
            ':' if characters.get(at + 1) == Some(&':') => {
                found.push((Token::Colons, line));
                at + 2
            }
            sign => {
                if !sign.is_whitespace() {
                    found.push((Token::Sign(sign), line));
                }
                at + 1
            }
        };
        line += characters[at..end].iter().filter(|character| **character == '\n').count();
        at = end;
    }
    found
}

fn until(characters: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..characters.len()).find(|at| ends(&characters[*at..])).unwrap_or(characters.len())
}

fn block_comment(characters: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < characters.len() {
        match &characters[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn quoted(characters: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// A character or a lifetime's tick.
fn character(characters: &[char], from: usize) -> usize {
    match &characters[from + 1..] {
        ['\\', ..] => until(characters, from + 3, |rest| rest[0] == '\'') + 1,
        [_, '\'', ..] => from + 3,
        _ => from + 1,
    }
    .min(characters.len())
}

/// The end of a raw text that begins at `from`, if one does: `r"…"`, `r#"…"#`, `br"…"`.
fn raw_text(characters: &[char], from: usize) -> Option<usize> {
    if from > 0 && (characters[from - 1].is_alphanumeric() || characters[from - 1] == '_') {
        return None;
    }
    let mut at = from + usize::from(matches!(characters[from], 'b' | 'c'));
    if characters.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = characters[at..].iter().take_while(|character| **character == '#').count();
    if characters.get(at + hashes) != Some(&'"') {
        return None;
    }
    let closes =
        |rest: &[char]| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|hash| *hash == '#');
    Some((until(characters, at + hashes + 1, closes) + 1 + hashes).min(characters.len()))
}
