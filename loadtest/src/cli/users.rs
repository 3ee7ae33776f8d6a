//! People from a file: `username,password[,expected outcome]`, a line each.

use std::path::Path;

use anyhow::{Context, bail};
use postern_protocol::Verdict;

use crate::people::{People, Person};

/// Reads them. Empty lines and those that begin with `#` are left out.
///
/// # Errors
/// Which line is none, without quoting it: it may hold a password.
pub(super) fn read(path: &Path) -> anyhow::Result<People> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--users {}", path.display()))?;
    parse(&text).with_context(|| format!("--users {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<People> {
    let mut people = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.splitn(3, ',');
        let (Some(username), Some(password)) = (fields.next(), fields.next()) else {
            bail!("line {number} is not username,password[,expected outcome]");
        };
        if username.is_empty() || password.is_empty() {
            bail!("line {number} lacks the user name or the password");
        }
        let expect = match fields.next().map(str::trim) {
            None | Some("") => Verdict::Success,
            Some(name) => {
                let known = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == name);
                let names = Verdict::ALL.map(Verdict::as_str).join(", ");
                // What is no outcome may be the rest of a password with a comma in it.
                known.with_context(|| {
                    format!("line {number}: what is to be expected is none of {names} (a password has no comma here)")
                })?
            }
        };
        people.push(Person {
            username: username.to_owned(),
            password: password.to_owned(),
            expect,
        });
    }
    if people.is_empty() {
        bail!("there is nobody in it");
    }
    Ok(People::given(people))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Kind;

    #[test]
    fn people_are_read_with_what_is_to_be_expected_of_them() {
        let people = parse("# who, what\nada@x,Secret 1\n\nluke@x,Secret-2,account_locked\r\n").unwrap();
        assert_eq!(people.len(), 1);
        assert_eq!(people.password(Kind::Right, 0), "Secret 1");
        let locked = Kind::Listed(Verdict::AccountLocked);
        assert_eq!(people.name(locked, 0), "luke@x");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_no_password_with_it() {
        for (text, line) in [
            ("ada@x", "line 1"),
            ("a@x,b\n,hunter2", "line 2"),
            ("a@x,hunter2,no", "line 1"),
            ("a@x,hunter,2", "line 1"),
            ("# nobody", "nobody in it"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(line) && !error.contains("hunter"), "{error}");
        }
    }
}
