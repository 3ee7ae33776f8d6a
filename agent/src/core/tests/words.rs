//! The sources of a core, read word by word, and what is wrong with them. The relay's core is read with this as well.

use std::path::{Path, PathBuf};

/// The sources of the core in the crate at `root`, tests apart.
pub(super) fn sources(root: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(root).join("src/core");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    let mut files = vec![root.with_extension("rs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path == root.join("tests") || path == root.join("tests.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = without_tests(&text).unwrap_or_else(|| panic!("{}: tests are not the end", path.display()));
        sources.push((path, code));
    }
    sources
}

/// The code without its module of tests. `None` if anything else is for tests only, or comes behind tests that are
/// written in the same file: it would not be read.
fn without_tests(text: &str) -> Option<String> {
    let text = text.replace("#[cfg(test)]\nmod tests;\n", "");
    let Some((code, tests)) = text.split_once("#[cfg(test)]") else {
        return Some(text);
    };
    let is_last = tests.starts_with("\nmod tests {\n") && tests.find("\n}\n") == tests.len().checked_sub(3);
    is_last.then(|| code.to_owned())
}

/// The code without comments and without the contents of texts and letters.
fn bare(code: &str) -> String {
    let mut bare = String::new();
    let mut rest = code.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|next| *next != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => panic!("a comment of a kind that this reader does not know"),
            '"' => loop {
                match rest.next() {
                    Some('\\') => drop(rest.next()),
                    Some('"') | None => break,
                    Some(_) => {}
                }
            },
            '\'' => {
                let (first, second) = (rest.next(), rest.next());
                if first == Some('\\') {
                    while rest.next_if(|next| *next != '\'').is_some() {}
                    rest.next();
                } else if second != Some('\'') {
                    // A lifetime.
                    bare.extend(first.into_iter().chain(second));
                }
            }
            _ => bare.push(letter),
        }
    }
    bare
}

/// Words, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<String> {
    let spaced: String = bare(code)
        .replace("::", " \u{1} ")
        .chars()
        .flat_map(|letter| match letter {
            _ if letter.is_alphanumeric() || letter == '_' || letter.is_whitespace() => vec![letter],
            _ => vec![' ', letter, ' '],
        })
        .collect();
    let word = |word: &str| word.replace('\u{1}', "::");
    spaced.split_whitespace().map(word).collect()
}

/// What a core may say.
pub(super) struct Rules {
    /// What a path may begin with, beside types and the core's own modules.
    pub(super) roots: &'static [&'static str],
    /// Where one of these names begins, it goes on with one of these: all of a part, or one thing of it.
    pub(super) only: &'static [(&'static str, &'static str, Option<&'static str>)],
    /// What needs no path to do harm.
    pub(super) refused: &'static [&'static str],
}

impl Rules {
    fn has(&self, name: &str) -> bool {
        self.only.iter().any(|(known, ..)| *known == name)
    }

    fn allow(&self, name: &str, part: &str, thing: &str) -> bool {
        let allows = |&(known, its, one): &(&str, &str, Option<&str>)| {
            known == name && its == part && one.is_none_or(|one| one == thing)
        };
        self.only.iter().any(allows)
    }

    /// What is wrong with the code, `modules` being the core's own. In its root, `super` is the crate.
    pub(super) fn faults(&self, code: &str, modules: &[String], is_root: bool) -> Vec<String> {
        let tokens = tokens(code);
        let at = |place: usize| tokens.get(place).map_or("", String::as_str);
        let is_word = |token: &str| token.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        let may_begin = |token: &str| {
            token.starts_with(char::is_uppercase)
                || self.roots.contains(&token)
                || modules.iter().any(|module| module == token)
        };
        let mut faults = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            let before = place.checked_sub(1).map_or("", at);
            let (next, second, fourth) = (at(place + 1), at(place + 2), at(place + 4));
            let begins_path = next == "::" && before != "::";
            let wrong = match token.as_str() {
                "crate" => begins_path && !self.allow("crate", second, fourth),
                "super" => is_root || next == "::" && second == "super",
                // With nothing before it, the name of a crate follows.
                "::" => before != ">" && !is_word(before),
                word if self.refused.contains(&word) => true,
                name if self.has(name) && next == "::" => !self.allow(name, second, fourth),
                // Without a path a type is a type, and all of a crate is too much.
                name if self.has(name) => !name.starts_with(char::is_uppercase),
                // After a dot it is a method.
                root => begins_path && before != "." && is_word(root) && !may_begin(root),
            };
            if wrong {
                faults.push(format!("{token} {next} {second} … {fourth}"));
            }
        }
        faults
    }
}
