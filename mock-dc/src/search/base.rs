//! Where a search begins, and how it is refused when that is no name or names nothing.

use super::code::{Code, Refusal};
use super::controls::Options;
use super::request::SearchRequest;
use crate::domain::Domain;
use crate::domain::dialect::Dialect;
use crate::domain::dn::Dn;
use crate::domain::object::ObjectId;

/// What is told to whoever has not signed in.
pub fn for_nobody(domain: &Domain, request: &SearchRequest) -> Refusal {
    let dialect = domain.dialect();
    match is_a_name(domain, &request.base) {
        false if dialect.reads_names_first() => Refusal::new(Code::InvalidDnSyntax, dialect.bad_name()),
        _ => dialect.bind_first().into(),
    }
}

/// Whether somebody who has not signed in may compare; with nothing that they may read (measured).
pub fn compares_for_nobody(domain: &Domain) -> bool {
    domain.dialect() == Dialect::Samba
}

/// How a comparison is refused that a search would be refused so.
pub fn of_comparison(domain: &Domain, base: &[u8], refusal: Refusal) -> Refusal {
    let name = String::from_utf8_lossy(base);
    match domain.dialect() {
        Dialect::Samba if refusal.code == Code::NoSuchObject && !name.starts_with('<') => {
            Refusal::new(Code::NoSuchObject, format!("00002030: No such Base DN: {name}"))
        }
        _ => refusal,
    }
}

fn is_a_name(domain: &Domain, name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| domain.find_name(name).is_ok())
}

/// The object that a search begins at; `None`: everywhere.
pub(super) fn find(domain: &Domain, request: &SearchRequest, options: &Options) -> Result<Option<ObjectId>, Refusal> {
    let dialect = domain.dialect();
    let name = std::str::from_utf8(&request.base).ok();
    if let Some(refusal) = dialect.refuses_base(name.unwrap_or_default()) {
        return Err(refusal);
    }
    let named = name.and_then(|name| Some((name, domain.find_name(name).ok()?)));
    let Some((name, base)) = named else {
        return Err(Refusal::new(Code::InvalidDnSyntax, dialect.bad_name()));
    };
    if base.is_some() {
        return Ok(base);
    }
    if name.trim().is_empty() {
        return match options.everywhere {
            true => Ok(None),
            false => Err(dialect.no_base()),
        };
    }
    let dn = Dn::parse(name);
    if let Some(elsewhere) = dn.as_ref().filter(|dn| !dn.is_within(domain.base()))
        && let Some(refusal) = dialect.refers_elsewhere(name, elsewhere)
    {
        return Err(refusal);
    }
    if dn.is_none()
        && let Some(text) = dialect.no_such_identifier(name, domain.base())
    {
        return Err(Refusal::new(Code::NoSuchObject, text));
    }
    let best = domain.best_match(name).map(|id| domain.dn_text(id));
    let text = dialect.no_such_object(best.as_deref().unwrap_or_default());
    // Samba tells it in no way (measured).
    let matched_dn = best.filter(|_| dialect.tells_best_match()).unwrap_or_default();
    Err(Refusal {
        matched_dn,
        ..Refusal::new(Code::NoSuchObject, text)
    })
}

impl Dialect {
    /// The refusal of a base that Samba cannot read although it means something to Windows, or reads only in part (all
    /// measured).
    fn refuses_base(self, name: &str) -> Option<Refusal> {
        const COMPONENT: &str =
            "00002032: Invalid extended DN component at ../../source4/dsdb/samdb/ldb_modules/extended_dn_in.c:713";
        const COMPONENTS: &str =
            "00002032: invalid number of DN components at ../../source4/dsdb/samdb/ldb_modules/extended_dn_in.c:643";
        const WELL_KNOWN: &str =
            "00002032: Invalid WKGUID format at ../../source4/dsdb/samdb/ldb_modules/extended_dn_in.c:687";
        if self != Self::Samba {
            return None;
        }
        let refusal = |text: &'static str| Some(Refusal::new(Code::InvalidDnSyntax, text));
        let bad_name = || Some(Refusal::new(Code::InvalidDnSyntax, self.bad_name()));
        if name.starts_with(' ') && name.trim_start().starts_with('<') {
            return bad_name();
        }
        let Some(inside) = name.strip_prefix('<') else {
            let types = Dn::types(name)?;
            let is_odd = |kind: &str| {
                kind.is_empty() || kind.contains(' ') || kind.starts_with(|letter: char| !letter.is_ascii_alphabetic())
            };
            return match types.iter().any(|(kind, _)| is_odd(kind) || kind.contains('.')) {
                true => bad_name(),
                false => types
                    .iter()
                    .any(|(_, has_value)| !has_value)
                    .then(|| Refusal::new(Code::InvalidDnSyntax, self.no_such_object(""))),
            };
        };
        let Some(((kind, value), behind)) = inside
            .split_once('>')
            .and_then(|(inside, behind)| Some((inside.split_once('=')?, behind)))
        else {
            return refusal(COMPONENT);
        };
        match (kind.to_ascii_uppercase().as_str(), behind) {
            (_, behind) if behind.starts_with(';') => refusal(COMPONENTS),
            (_, behind) if !behind.is_empty() => bad_name(),
            ("GUID" | "SID", _) => None,
            ("WKGUID", _) => (!value.contains(',')).then(|| Refusal::new(Code::InvalidDnSyntax, WELL_KNOWN)),
            _ => refusal("00002032: ldb_search: invalid basedn ''"),
        }
    }
}
