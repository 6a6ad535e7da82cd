//! Structure of the sources: import circles between files, size of folders, length of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{Source, closing, files, product, words};

/// Sources in one folder, without its sub-folders.
const FOLDER_FILES_MAX: usize = 12;
/// Columns of a line of code, of a comment, and of a page.
const COLUMNS_MAX: usize = 110;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One crate: its sources by module path, such as `["wal", "format"]`; the root module has the empty path.
struct Crate {
    sources: BTreeMap<Vec<String>, Source>,
}

impl Crate {
    /// The product sources below a folder; `main` names the root module's file without its ending.
    fn read(folder: &str, main: &str) -> Self {
        let sources = product(&root(), folder).into_iter().map(|source| {
            let inner = source.path.strip_prefix(folder).unwrap().trim_start_matches('/');
            let mut path: Vec<String> = inner.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if path.last().is_some_and(|last| last == "mod") || path == [main] {
                path.pop();
            }
            (path, source)
        });
        Self { sources: sources.collect() }
    }

    /// The module in which the item at `path` is defined: the longest prefix of it that is a file. A name
    /// that the module only re-exports is followed to its own file.
    fn home(&self, path: &[String]) -> Option<Vec<String>> {
        let length = (0..=path.len()).rev().find(|length| self.sources.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        let Some(name) = rest.first() else { return Some(module.to_vec()) };
        let exported = imports(&self.sources[module].product_code(), true).into_iter();
        for import in exported {
            if import.last() == Some(name)
                && let Some(target) = self.resolve(module, &import)
                && target != path
                && target.len() > module.len()
            {
                return self.home(&target);
            }
        }
        Some(module.to_vec())
    }

    /// A path as it is written in a module, from the crate's root; `None` for a path into another crate.
    fn resolve(&self, module: &[String], written: &[String]) -> Option<Vec<String>> {
        let (first, rest) = written.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let mut base = module.to_vec();
                let mut tail = written;
                while let Some((first, rest)) = tail.split_first()
                    && first == "super"
                {
                    base.pop()?;
                    tail = rest;
                }
                Some([base.as_slice(), tail].concat())
            }
            _ => {
                let child = [module, std::slice::from_ref(first)].concat();
                self.sources.contains_key(&child).then(|| [module, written].concat())
            }
        }
    }

    /// For each module, the modules whose items it names. Ancestors and descendants are left out: a module
    /// and its submodules are one room, and a submodule may use what its parent defines.
    fn uses(&self) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
        let mut uses = BTreeMap::new();
        for (module, source) in &self.sources {
            let code = source.product_code();
            let named = imports(&code, false).into_iter().chain(paths(&code));
            let homes = named.filter_map(|path| self.home(&self.resolve(module, &path)?));
            let others = homes.filter(|home| !home.starts_with(module) && !module.starts_with(home));
            uses.insert(module.clone(), others.collect());
        }
        uses
    }

    /// Circles between files, each as the sorted names of its modules.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        let uses = self.uses();
        let reach = |from: &Vec<String>| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = open.pop() {
                for next in &uses[&module] {
                    if seen.insert(next.clone()) {
                        open.push(next.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = uses.keys().map(|module| (module.clone(), reach(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, seen) in &reached {
            if seen.contains(module) {
                let members = seen.iter().filter(|other| reached[*other].contains(module));
                circles.insert(members.map(|member| member.join("::")).collect());
            }
        }
        circles
    }
}

/// The paths that `use` declarations name, groups expanded; with `exported`, only those of `pub use`. Renamed
/// items keep their original name.
fn imports(code: &str, exported: bool) -> Vec<Vec<String>> {
    let words: Vec<_> = words(code).collect();
    let mut found = Vec::new();
    for index in 0..words.len() {
        let is_public = index > 0 && matches!(words[index - 1].1, "pub" | ")");
        if words[index].1 == "use" && (is_public || !exported) {
            let start = words[index].0 + 3;
            let end = start + code[start..].find(';').unwrap_or(0);
            expand(&code[start..end], &[], &mut found);
        }
    }
    found
}

/// Adds every path of a `use` tree to `found`.
fn expand(tree: &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    let tokens: Vec<_> = words(tree).collect();
    let mut index = 0;
    while let Some((offset, word)) = tokens.get(index) {
        match *word {
            "::" | "*" => {}
            "{" => {
                let end = closing(tree, *offset);
                for part in parts(&tree[offset + 1..end - 1]) {
                    expand(part, &path, found);
                }
                return;
            }
            "as" => index += 1,
            word => path.push(word.to_owned()),
        }
        index += 1;
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if path.len() > prefix.len() || !prefix.is_empty() {
        found.push(path);
    }
}

/// The members of a group, split at the commas that are not inside a further group.
fn parts(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut from) = (Vec::new(), 0, 0);
    for (offset, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[from..offset]);
                from = offset + 1;
            }
            _ => {}
        }
    }
    found.push(&group[from..]);
    found.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Paths in the code itself that begin with `crate` or `super`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let words: Vec<_> = words(code).map(|(_, word)| word).collect();
    let mut found = Vec::new();
    let mut index = 0;
    while index < words.len() {
        if matches!(words[index], "crate" | "super") && words.get(index + 1) == Some(&"::") {
            let mut path = vec![words[index].to_owned()];
            while words.get(index + 1) == Some(&"::")
                && words.get(index + 2).is_some_and(|word| word.starts_with(char::is_alphabetic))
            {
                path.push(words[index + 2].to_owned());
                index += 2;
            }
            found.push(path);
        }
        index += 1;
    }
    found
}

#[test]
fn no_file_imports_itself_through_others() {
    let mut complaints = Vec::new();
    for (folder, main) in
        [("src", "lib"), ("tools/bmpgen", "main"), ("tools/walctl", "main"), ("tools/bench", "main")]
    {
        for circle in Crate::read(folder, main).circles() {
            complaints.push(format!("{folder}: import circle of {}", circle.join(", ")));
        }
    }
    assert!(complaints.is_empty(), "{} circles\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn no_folder_is_a_heap_of_files() {
    let mut complaints = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(folder) = open.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        open.extend(entries.iter().filter(|path| path.is_dir()).cloned());
        let sources = entries.iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).count();
        if sources > FOLDER_FILES_MAX {
            complaints.push(format!("{}: {sources} files, at most {FOLDER_FILES_MAX}", folder.display()));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// True for a line that cannot be broken: a row of a Markdown table, a link, generated man page source.
fn cannot_be_broken(path: &Path, line: &str) -> bool {
    let is_page = path.extension().is_some_and(|end| end == "md");
    is_page && (line.trim_start().starts_with('|') || line.trim_start().starts_with('['))
        || !line.trim().contains(' ')
}

#[test]
fn lines_are_short() {
    let kinds = [".rs", ".py", ".sh", ".sql", ".md", ".mjs", ".toml", ".service", ".yaml", ".example"];
    let folders = ["src", "tools", "tests", "migrations", "docs", "deploy"];
    let mut paths: Vec<PathBuf> = folders.iter().flat_map(|folder| files(&root().join(folder), "")).collect();
    paths.extend(["README.md", "CHANGELOG.md", "SECURITY.md", ".env.example"].map(|name| root().join(name)));
    let mut complaints = Vec::new();
    for path in paths {
        let name = path.to_str().unwrap();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if !kinds.iter().any(|kind| name.ends_with(kind)) && !text.starts_with("#!") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !cannot_be_broken(&path, line) {
                let name = path.strip_prefix(root()).unwrap().display();
                complaints.push(format!("{name}:{}: {columns} columns", index + 1));
            }
        }
    }
    assert!(complaints.is_empty(), "{} lines\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn paths_of_use_trees_are_found() {
    let code = "use super::a::{self, B, c::{D as E}};\npub(crate) use f::G;\nfn x() { crate::h::i(); }";
    let all: Vec<String> = imports(code, false).iter().map(|path| path.join("::")).collect();
    assert_eq!(all, ["super::a", "super::a::B", "super::a::c::D", "f::G"]);
    assert_eq!(imports(code, true), [["f", "G"]]);
    assert_eq!(paths(code), [vec!["super", "a"], vec!["crate", "h", "i"]]);
}
