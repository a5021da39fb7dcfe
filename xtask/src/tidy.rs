//! Checks that no compiler makes: the arrows between crates, sizes of files and functions, leftovers, what a document promises.
//!
//! Read first: [`ARROWS`], [`run`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Lines of a file at most, tests apart.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function body at most.
const FUNCTION_LINES_MAX: usize = 70;
/// Characters of a line at most.
const LINE_CHARS_MAX: usize = 160;

/// Which crates of this workspace a crate may depend on; ARCHITECTURE.md draws the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("streamkeeper-base", &[]),
    ("streamkeeper-zab", &["base"]),
    ("streamkeeper-tree", &["base"]),
    ("streamkeeper-controller", &["base"]),
    ("streamkeeper-replica", &["base"]),
    ("streamkeeper-group", &["base"]),
    ("streamkeeper-wire", &["base"]),
    ("streamkeeper-storage", &["base"]),
    ("streamkeeper-member", &["base", "zab", "tree", "controller", "replica", "group", "wire", "storage"]),
    ("streamkeeper-proto", &[]),
    ("streamkeeper-node", &["base", "member", "storage", "wire", "proto"]),
    ("streamkeeper-operator", &["proto"]),
    ("streamkeeper", &["node", "operator"]),
    ("streamkeeper-bench", &["base", "wire"]),
    ("xtask", &[]),
    ("streamkeeper-sim", &["base", "controller", "member", "replica", "storage", "tree", "wire", "zab"]),
];

/// Crates below the shell: none of them may depend on an async runtime, not even in tests.
const PURE: &[&str] = &["base", "zab", "tree", "controller", "replica", "group", "wire", "storage", "member"];

/// Checks the workspace at `root`; prints each finding and fails if there was one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    check_arrows(root, &mut findings)?;
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    for file in &files {
        let text = fs::read_to_string(root.join(file)).with_context(|| file.display().to_string())?;
        check_file(file, &text, &mut findings);
    }
    if findings.is_empty() {
        println!("tidy: {} files, {} crates, nothing found", files.len(), ARROWS.len());
        return Ok(());
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    bail!("tidy: {} findings", findings.len())
}

fn check_arrows(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(arrows) = allowed.get(name) else {
            findings.push(format!("{name}: is not in the list of crates (xtask/src/tidy.rs, ARROWS)"));
            continue;
        };
        let pure = PURE.contains(&name.trim_start_matches("streamkeeper-"));
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_dev = dependency["kind"].as_str() == Some("dev");
            if pure && matches!(on, "tokio" | "tonic" | "kube") {
                findings.push(format!(
                    "{name}: depends on {on}; everything below agent/node is free of runtimes"
                ));
            }
            if let Some(short) = on.strip_prefix("streamkeeper-")
                && !arrows.contains(&short)
                && !is_dev
            {
                findings.push(format!("{name}: must not depend on {on} (ARCHITECTURE.md, the house)"));
            }
        }
    }
    Ok(())
}

/// Every file of the tree that people write, relative to `root`.
fn collect(root: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | ".git" | ".venv" | "node_modules" | "generated") {
                collect(root, &path, files)?;
            }
        } else if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("rs" | "toml" | "md" | "proto" | "py" | "sh" | "yaml" | "go")
        ) {
            files.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}

fn check_file(file: &Path, text: &str, findings: &mut Vec<String>) {
    let shown = file.display();
    let is_rust = file.extension().is_some_and(|e| e == "rs");
    for (index, line) in text.lines().enumerate() {
        let at = index + 1;
        if is_rust && line.chars().count() > LINE_CHARS_MAX {
            findings.push(format!("{shown}:{at}: line of {} characters", line.chars().count()));
        }
        if let Some(leftover) = leftover(line)
            && !file.ends_with("tidy.rs")
        {
            findings.push(format!("{shown}:{at}: leftover {leftover}"));
        }
    }
    if !is_rust {
        return;
    }
    let code = text.lines().position(|l| l.starts_with("mod tests {")).unwrap_or(text.lines().count());
    let is_test_file = file.ends_with("tests.rs") || file.components().any(|c| c.as_os_str() == "tests");
    if code > FILE_LINES_MAX && !is_test_file {
        findings.push(format!(
            "{shown}: {code} lines without tests, {FILE_LINES_MAX} at most; split it by phase"
        ));
    }
    if !is_test_file {
        check_functions(file, text.lines().take(code), findings);
    }
    if !text.starts_with("//!") && !text.starts_with("#!") && code > 30 {
        findings.push(format!("{shown}: has no module documentation"));
    }
}

fn leftover(line: &str) -> Option<&'static str> {
    ["TODO", "FIXME", "XXX", "unimplemented!(", "todo!(", "#[ignore"]
        .into_iter()
        .find(|mark| line.contains(mark))
}

/// Finds functions by rustfmt's shape: `fn` at some indentation, its closing brace alone at the same one.
fn check_functions<'a>(file: &Path, lines: impl Iterator<Item = &'a str>, findings: &mut Vec<String>) {
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    for (index, line) in lines.enumerate() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim_start();
        if is_function(trimmed) && !trimmed.ends_with(';') && !trimmed.ends_with('}') {
            open.push((indent, index, trimmed.to_owned()));
        } else if trimmed == "}"
            && let Some((_, start, name)) = open.pop_if(|(at, _, _)| *at == indent)
        {
            let body = index - start - 1;
            if body > FUNCTION_LINES_MAX {
                let name: String = name.chars().take(60).collect();
                findings.push(format!("{}:{}: {body} lines in `{name}`", file.display(), start + 1));
            }
        } else if trimmed.ends_with(';')
            && open.last().is_some_and(|(at, _, _)| *at == indent)
            && trimmed.starts_with(')')
        {
            // A trait's declaration without a body that spans lines.
            open.pop();
        }
    }
}

fn is_function(line: &str) -> bool {
    let mut rest = line;
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        check_file(Path::new(name), text, &mut found);
        found
    }

    #[test]
    fn a_long_function_is_found() {
        let body = "    let _ = 1;\n".repeat(FUNCTION_LINES_MAX + 1);
        let text = format!("//! Doc.\nfn long() {{\n{body}}}\n");
        assert_eq!(findings("a.rs", &text).len(), 1);
        let text = text.replacen("    let _ = 1;\n", "", 1);
        assert_eq!(findings("a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn a_leftover_is_found() {
        assert_eq!(findings("a.rs", "//! Doc.\n// TODO: later\n").len(), 1);
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_do_not_count() {
        let long = format!("//! Doc.\n{}", "const A: u8 = 1;\n".repeat(FILE_LINES_MAX));
        assert_eq!(findings("a.rs", &long).len(), 1);
        let tests = format!("//! Doc.\nmod tests {{\n{}}}\n", "const A: u8 = 1;\n".repeat(FILE_LINES_MAX));
        assert_eq!(findings("a.rs", &tests), Vec::<String>::new());
    }
}
