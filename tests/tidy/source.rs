//! A simple reader of Rust sources for the rules: blanks comments and literals, separates tests from product
//! code.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Path from the repository's root, with slashes.
    pub(crate) path: String,
    /// Lines as in the file.
    pub(crate) text: String,
    /// The same lines with comments and the insides of literals replaced by blanks.
    pub(crate) code: String,
    /// For each line, whether it belongs to the tests.
    is_test: Vec<bool>,
}

impl Source {
    pub(crate) fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let code = blank(&text);
        let is_test = test_lines(&code);
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        Self { path, text, code, is_test }
    }

    /// Product lines as in the file.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().zip(&self.is_test).filter(|(_, test)| !**test).map(|(line, _)| line)
    }

    /// Product code with comments and literals blanked, tests left out.
    pub(crate) fn product_code(&self) -> String {
        let lines = self.code.lines().zip(&self.is_test).filter(|(_, test)| !**test);
        lines.map(|(line, _)| format!("{line}\n")).collect()
    }

    /// Names of the modules that are declared here for tests only and live in files of their own.
    fn test_files(&self) -> Vec<String> {
        let words: Vec<_> = words(&self.code).map(|(_, word)| word).collect();
        words
            .windows(9)
            .filter(|w| w[..7] == ["#", "[", "cfg", "(", "test", ")", "]"] && w[7] == "mod")
            .map(|w| w[8].to_owned())
            .collect()
    }
}

/// All files with this extension below a folder, sorted; empty if the folder does not exist.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().is_some_and(|name| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The product's sources below a folder. Files that are declared as test modules count as tests in full.
pub(crate) fn product(root: &Path, folder: &str) -> Vec<Source> {
    let mut sources: Vec<_> =
        files(&root.join(folder), ".rs").iter().map(|path| Source::read(root, path)).collect();
    let mut tests = Vec::new();
    for source in &sources {
        // The submodules of mod.rs, main.rs and lib.rs are in the same folder, those of other files in a
        // folder named after the file.
        let path = Path::new(&source.path);
        let own = matches!(path.file_stem().and_then(|stem| stem.to_str()), Some("mod" | "main" | "lib"));
        let home = if own { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        tests.extend(source.test_files().iter().map(|name| home.join(name).to_str().unwrap().to_owned()));
    }
    sources.retain(|source| {
        !tests
            .iter()
            .any(|test| source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/")))
    });
    sources
}

/// Words and single symbols of code, each with its byte offset.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(|sign: char| !sign.is_whitespace())?;
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        let first = code[start..].chars().next()?;
        let length = if is_word(first) {
            code[start..].find(|sign| !is_word(sign)).unwrap_or(code.len() - start)
        } else if code[start..].starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        rest = start + length;
        Some((start, &code[start..rest]))
    })
}

/// The offset after the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, sign) in code[open..].char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

/// Which lines are `#[cfg(test)] mod … { … }`.
fn test_lines(code: &str) -> Vec<bool> {
    let mut lines = vec![false; code.lines().count()];
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = code[start..].find(['{', ';']).map_or(code.len(), |end| start + end);
        let end = if code[end..].starts_with('{') { closing(code, end) } else { end + 1 };
        let line = |offset: usize| code[..offset].matches('\n').count();
        let last = line(end.min(code.len())).min(lines.len() - 1);
        lines[line(start)..=last].fill(true);
        from = end.min(code.len());
    }
    lines
}

/// The text with comments and the insides of string and character literals replaced by blanks, line for line.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => block_comment(rest),
            [b'"', ..] => quoted(rest, b'"'),
            // A character literal ends with a quotation mark two characters later or begins with an escape; a
            // lifetime does neither.
            [b'\'', b'\\', ..] => quoted(rest, b'\''),
            [b'\'', ..] => text[at + 1..].chars().next().map_or(0, |sign| {
                let end = 1 + sign.len_utf8();
                if rest.get(end) == Some(&b'\'') { end + 1 } else { 0 }
            }),
            [b'r' | b'b' | b'c', ..] if !in_word => raw(rest),
            _ => 0,
        };
        out[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at += length.max(1);
    }
    String::from_utf8(out).unwrap()
}

/// Length of a literal that begins and ends with this quotation mark.
fn quoted(bytes: &[u8], mark: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != mark {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Length of a raw string (`r"…"`, `br#"…"#`); 0 if there is none.
fn raw(bytes: &[u8]) -> usize {
    let prefix = bytes.iter().take_while(|byte| b"rbc".contains(byte)).count();
    let hashes = bytes[prefix..].iter().take_while(|byte| **byte == b'#').count();
    if !bytes[..prefix].contains(&b'r') || bytes.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let body = prefix + hashes + 1;
    let found = bytes[body..].windows(end.len()).position(|window| window == end);
    found.map_or(bytes.len(), |found| body + found + end.len())
}

/// Length of a block comment, including nested ones.
fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0_i32, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    for (text, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("a\"b", x)"#, r"f(      , x)"),
        ("f(r#\"a\"b\"#, b\"x\")", "f(        , b   )"),
        (r"f('a', '\'', 'b x, &'static str)", r"f(   ,     , 'b x, &'static str)"),
    ] {
        assert_eq!(blank(text), expected, "{text}");
    }
}

#[test]
fn test_modules_are_separated_from_product_code() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
    assert_eq!(test_lines(code), [false, true, true, true, true, false, true, true]);
}
