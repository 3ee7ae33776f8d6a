//! A search as a client asks for it (RFC 4511 4.5.1), off the wire: what is text to LDAP may be any bytes here.

use super::anr;
use super::filter::TRANSITIVE;

/// What a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The name of the object that it begins at; empty for the RootDSE.
    pub base: Vec<u8>,
    /// How far below the base it looks.
    pub scope: Scope,
    /// Entries that the client wants at most; 0: no limit of its own.
    pub size_limit: u32,
    /// Seconds that it may take; 0: no limit of its own.
    pub time_limit: u32,
    /// Whether the client wants the names of attributes without their values.
    pub types_only: bool,
    /// Which of the objects in scope are meant.
    pub filter: Filter,
    /// Descriptions of the attributes that it wants to see; none: all that are usual.
    pub attributes: Vec<String>,
}

/// How far below its base a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// At the base alone.
    Base,
    /// At the objects right below the base.
    OneLevel,
    /// At the base and everything below it.
    Subtree,
}

/// Which objects are meant (RFC 4511 4.5.1.7). Names of attributes are as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them hold.
    And(Vec<Filter>),
    /// One of them holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The attribute has this value.
    Equality(String, Vec<u8>),
    /// The attribute has a value in which these parts come one after another.
    Substring(String, Substring),
    /// The attribute has a value of at least this.
    GreaterOrEqual(String, Vec<u8>),
    /// The attribute has a value of at most this.
    LessOrEqual(String, Vec<u8>),
    /// The attribute has a value.
    Present(String),
    /// The attribute has a value like this one.
    Approx(String, Vec<u8>),
    /// A matching rule holds.
    Extensible(Assertion),
}

impl Filter {
    /// How much there is to compare for one object: conditions, those that hold others included, and what is long or
    /// dear in them.
    pub fn comparisons(&self) -> usize {
        /// Bytes that take about as long as a condition.
        const BYTES: usize = 64;
        /// Names that one is compared with where any will do.
        const NAMES: usize = 16;
        /// Objects that a chain of links leads to: each is looked at as a whole.
        const CHAIN: usize = 1024;
        let of = |name: &str, value: &[u8]| {
            let names = if anr::is_meant(name) { NAMES } else { 1 };
            names * (1 + (name.len() + value.len()) / BYTES)
        };
        match self {
            Self::And(filters) | Self::Or(filters) => 1 + filters.iter().map(Self::comparisons).sum::<usize>(),
            Self::Not(filter) => 1 + filter.comparisons(),
            Self::Substring(name, Substring { initial, any, last }) => {
                let parts = initial.iter().chain(any).chain(last);
                1 + parts.map(|part| of(name, part)).sum::<usize>()
            }
            Self::Equality(name, value)
            | Self::GreaterOrEqual(name, value)
            | Self::LessOrEqual(name, value)
            | Self::Approx(name, value) => of(name, value),
            Self::Present(name) => of(name, b""),
            Self::Extensible(assertion) => {
                let is_chain = assertion.rule.as_deref() == Some(TRANSITIVE);
                let own = of(assertion.attribute.as_deref().unwrap_or_default(), &assertion.value);
                own + if is_chain { CHAIN } else { 0 }
            }
        }
    }

    /// Bytes of all values that are compared with.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().map(Self::bytes).sum(),
            Self::Not(filter) => filter.bytes(),
            Self::Substring(_, Substring { initial, any, last }) => {
                initial.iter().chain(any).chain(last).map(Vec::len).sum()
            }
            Self::Equality(_, value)
            | Self::GreaterOrEqual(_, value)
            | Self::LessOrEqual(_, value)
            | Self::Approx(_, value) => value.len(),
            Self::Present(_) => 0,
            Self::Extensible(assertion) => assertion.value.len(),
        }
    }
}

/// The parts of a value, `initial*any*any*last`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Substring {
    /// What it begins with.
    pub initial: Option<Vec<u8>>,
    /// What comes between, in this order.
    pub any: Vec<Vec<u8>>,
    /// What it ends with.
    pub last: Option<Vec<u8>>,
}

impl Substring {
    /// Whether it says how a value begins, and nothing else.
    pub(super) fn is_beginning(&self) -> bool {
        self.initial.is_some() && self.any.is_empty() && self.last.is_none()
    }
}

/// A matching rule applied to an attribute, `attribute:dn:rule:=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The rule's identifier; `None`: the attribute's own.
    pub rule: Option<String>,
    /// The attribute; `None`: every one that the rule fits.
    pub attribute: Option<String>,
    /// What the rule compares with.
    pub value: Vec<u8>,
    /// Whether the parts of the distinguished name count as attributes.
    pub names_too: bool,
}
