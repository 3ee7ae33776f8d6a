//! What kind of directory the domain controllers are.
//!
//! One agent serves one directory, so they are all of one kind. A configuration that mixes two would bind names in a
//! form that one of them takes for another's; so those of the kind that fewer have are not used.

use std::fmt;

/// A kind of directory, by what differs between them for a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Active Directory or Samba: binds by UPN and NetBIOS name, tells account states by sub-codes.
    ActiveDirectory,
    /// OpenLDAP.
    OpenLdap,
    /// 389 Directory Server.
    Ds389,
    /// Any other: binds by DN alone.
    Other,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::ActiveDirectory, Self::OpenLdap, Self::Ds389, Self::Other];

    /// As it is written in the configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "active-directory",
            Self::OpenLdap => "openldap",
            Self::Ds389 => "389ds",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of the domain controllers that have said what they are, in the order in which they did.
#[derive(Debug)]
pub(crate) struct Kinds<Id> {
    seen: Vec<(Id, Kind)>,
}

impl<Id> Default for Kinds<Id> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<Id: PartialEq> Kinds<Id> {
    /// One says what it is. Gives whether it is of the kind that prevails.
    pub(crate) fn told(&mut self, id: Id, kind: Kind) -> bool {
        match self.seen.iter_mut().find(|(of, _)| *of == id) {
            Some((_, told)) => *told = kind,
            None => self.seen.push((id, kind)),
        }
        self.prevailing() == Some(kind)
    }

    /// The kind that most have, of two with as many the one that was there first; `None` while nobody has said.
    pub(crate) fn prevailing(&self) -> Option<Kind> {
        let count = |kind: Kind| self.seen.iter().filter(|(_, of)| *of == kind).count();
        let (mut most, mut prevailing) = (0, None);
        for &(_, kind) in &self.seen {
            if count(kind) > most {
                (most, prevailing) = (count(kind), Some(kind));
            }
        }
        prevailing
    }

    /// One is gone.
    pub(crate) fn forget(&mut self, id: &Id) {
        self.seen.retain(|(of, _)| of != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_most_prevails_and_of_two_the_first() {
        let mut kinds = Kinds::default();
        assert_eq!(kinds.prevailing(), None);
        assert!(kinds.told(1, Kind::OpenLdap));
        assert!(!kinds.told(2, Kind::ActiveDirectory));
        assert!(kinds.told(3, Kind::ActiveDirectory));
        // Whoever asks again is told otherwise.
        assert!(!kinds.told(1, Kind::OpenLdap));
        assert_eq!(kinds.prevailing(), Some(Kind::ActiveDirectory));
        kinds.forget(&2);
        assert!(!kinds.told(3, Kind::ActiveDirectory));
        assert!(kinds.told(1, Kind::ActiveDirectory));
    }
}
