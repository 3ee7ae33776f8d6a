//! What a request does to `unicodePwd` (MS-ADTS 3.1.1.3.1.5.1): delete the old one and add the new one, in either order,
//! or replace it. Everything else is refused as Samba was measured to.

use super::refusal::{Refusal, Shape};
use super::{Kind, Known};
use crate::domain::cleartext::Cleartext;
use crate::domain::password_change::NewPassword;

/// The attribute that a password is written to. It cannot be read.
pub(super) const ATTRIBUTE: &str = "unicodePwd";

/// The changes of `unicodePwd` by what they do.
#[derive(Default)]
pub(super) struct Parts<'a> {
    deletes: Vec<&'a [&'a [u8]]>,
    adds: Vec<&'a [&'a [u8]]>,
    replaces: Vec<&'a [&'a [u8]]>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(changes: impl Iterator<Item = Known<'a>>) -> Self {
        let mut parts = Self::default();
        for change in changes {
            match change.kind {
                Kind::Add => parts.adds.push(change.values),
                Kind::Delete => parts.deletes.push(change.values),
                Kind::Replace => parts.replaces.push(change.values),
            }
        }
        parts
    }

    /// The right that is needed: whoever deletes an old password and adds a new one changes it, and who only deletes is
    /// refused for that.
    pub(super) fn needs(&self) -> Need {
        let values = |list: &[&[&[u8]]]| list.iter().map(|values| values.len()).sum::<usize>();
        match (values(&self.deletes), values(&self.adds)) {
            _ if self.adds.is_empty() && self.replaces.is_empty() => Need::Nothing,
            _ if !self.replaces.is_empty() || self.adds.len() != self.deletes.len() => Need::Reset,
            (1, 1) => Need::Change,
            (0, 1) => Need::ResetByChange,
            _ => Need::Nothing,
        }
    }
}

/// A right that a request needs of whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// None: it is refused for its form.
    Nothing,
    /// User-Change-Password, which everybody has of every account.
    Change,
    /// User-Force-Change-Password.
    Reset,
    /// The same, of a request that has the form of a change without the old password.
    ResetByChange,
}

/// Reads them; `None` when there are none.
///
/// # Errors
/// [`Refusal::Shape`], [`Refusal::NotQuoted`].
pub(super) fn read(changes: &[&Known<'_>]) -> Result<Option<NewPassword>, Refusal> {
    let parts = Parts::of(changes.iter().map(|change| **change));
    let Parts {
        deletes,
        adds,
        replaces,
    } = &parts;
    if changes.is_empty() {
        return Ok(None);
    }
    let refuse = |shape| Err(Refusal::Shape(shape));
    if adds.iter().any(|values| values.len() != 1) {
        return refuse(Shape::ValuesAdded);
    }
    if deletes.iter().any(|values| values.len() > 1) {
        return refuse(Shape::ValuesDeleted);
    }
    if deletes.is_empty() && !adds.is_empty() {
        return refuse(Shape::OnlyAdded);
    }
    if deletes.len() > 1 || adds.len() > 1 || (!deletes.is_empty() && !replaces.is_empty()) {
        return refuse(Shape::Several);
    }
    let added = adds.first().and_then(|values| values.first());
    let deleted = deletes.first().and_then(|values| values.first());
    match (added, deleted) {
        (Some(new), Some(old)) => {
            let new = Cleartext::from_unicode_pwd(new).map_err(|_| Refusal::NotQuoted { new_of_change: true })?;
            let old = Cleartext::from_unicode_pwd(old).map_err(|_| NOT_QUOTED)?;
            Ok(Some(NewPassword::Change { old, new }))
        }
        (Some(new), None) => reset(new).map(Some),
        (None, _) if !deletes.is_empty() => refuse(Shape::OnlyDeleted),
        // Of several values or replacements the last counts (measured).
        (None, _) => match replaces.last().and_then(|values| values.last()) {
            Some(new) => reset(new).map(Some),
            None => refuse(Shape::ReplacedByNothing),
        },
    }
}

const NOT_QUOTED: Refusal = Refusal::NotQuoted { new_of_change: false };

fn reset(new: &[u8]) -> Result<NewPassword, Refusal> {
    let new = Cleartext::from_unicode_pwd(new).map_err(|_| NOT_QUOTED)?;
    Ok(NewPassword::Reset { new })
}
