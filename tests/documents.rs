//! What the documents say is so: commands, settings and the words of runbooks.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use clap::CommandFactory as _;
use lifeboat::cli::Cli;
use lifeboat::planning::check::VOCABULARY;
use lifeboat::settings::Settings;
use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");
const RUNBOOKS: &str = include_str!("../runbooks/README.md");

/// What stands in backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_readme_names_every_command_and_no_other() {
    let command = Cli::command();
    let known: BTreeSet<&str> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(clap::Command::get_name).collect();
    let said = quoted(README);
    for name in &said {
        let Some(rest) = name.strip_prefix("lifeboat ") else { continue };
        let first = rest.split_whitespace().next().unwrap();
        assert!(known.contains(first) || first == "help", "there is no `{name}`");
    }
    let first_word = |text: &&str| text.split_whitespace().find(|word| *word != "lifeboat").map(str::to_owned);
    let named: BTreeSet<String> = said.iter().filter_map(first_word).collect();
    // For a shell, and found by `lifeboat help`.
    for name in known.iter().filter(|name| !["completions", "man"].contains(name)) {
        assert!(named.contains(*name), "the README does not speak of `lifeboat {name}`");
    }
}

#[test]
fn the_settings_in_the_readme_can_be_read() {
    let block = README.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lifeboat.toml");
    std::fs::write(&file, block).unwrap();
    let settings = Settings::load(Some(&file)).unwrap();
    assert_eq!(settings.pgbackrest.stanza.as_deref(), Some("main"));
    assert_eq!(settings.drill.database, "shop");
    let others = "[postgres]\nbin_directory = \"/x\"\nowner = \"a\"\nuser = \"a\"\n[state]\ndirectory = \"/x\"\n\
                  runtime_directory = \"/x\"\n[runbooks]\ndirectory = \"/x\"\n[console]\ntheme = \"mono\"\nseconds = false\n\
                  ascii = true\n[operator]\ntimezone = \"UTC\"\n";
    let depths = ["start", "catalog", "rows", "amcheck", "checksums"];
    for depth in depths {
        std::fs::write(&file, format!("{others}[drill]\ndepth = \"{depth}\"\n")).unwrap();
        assert_eq!(Settings::load(Some(&file)).unwrap().drill.depth.word(), depth);
    }
    let keys = others.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    let said: BTreeSet<&str> = quoted(README).into_iter().flat_map(str::split_whitespace).collect();
    for word in keys.chain(depths) {
        assert!(said.contains(word), "the README does not speak of {word}");
    }
}

#[test]
fn the_runbooks_readme_lists_every_fact_and_check() {
    let said = quoted(RUNBOOKS);
    for fact in VOCABULARY.facts.iter().chain(VOCABULARY.list_facts) {
        assert!(said.contains(fact), "runbooks/README.md does not speak of the fact {fact}");
    }
    for (check, with) in VOCABULARY.checks {
        let row = RUNBOOKS.lines().find(|line| line.starts_with(&format!("| `{check}` |")));
        let row = row.unwrap_or_else(|| panic!("runbooks/README.md does not speak of the check {check}"));
        for argument in *with {
            assert!(row.contains(argument), "{check}: {argument} is missing in {row}");
        }
    }
}

/// Of a picture: what README shows is small, of the program, and made by the script that says so.
#[test]
fn the_pictures_are_those_that_the_script_makes() {
    let script = include_str!("../scripts/pictures.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pictures: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "svg")).collect();
    let names: BTreeSet<&str> = pictures.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    let shown = README.matches("](assets/").count();
    assert_eq!((names.len(), shown), (4, 4), "{names:?}");
    for (file, name) in pictures.iter().zip(pictures.iter().map(|file| file.file_stem().unwrap().to_str().unwrap())) {
        assert!(README.contains(&format!("](assets/{name}.svg)")), "{name} is not shown");
        assert!(script.contains(&format!("\"{name}\"")), "nothing makes {name}");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.len() < 24 * 1024 && text.contains(">lifeboat</text>") && !text.contains("<script"), "{name}");
    }
}
