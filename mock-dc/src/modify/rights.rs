//! Who may change what: AD's default permissions, as far as accounts are concerned (MS-ADTS 5.1.3, and measured).
//!
//! Everybody may change anybody's password by showing the present one, and their own personal information. Administrators
//! may write everything that can be written. Account Operators may do so with users, except for those who have more
//! rights than they.

use super::Known;
use super::password::{self, Need, Parts};
use super::refusal::Refusal;
use crate::domain::Domain;
use crate::domain::builtin::{
    ACCOUNT_OPERATORS, ADMINISTRATOR, ADMINISTRATORS, DOMAIN_ADMINS, ENTERPRISE_ADMINS, KRBTGT, protected_groups,
};
use crate::domain::object::{Class, ObjectId};

/// The property set Personal-Information (rightsGuid 77b5b886-944a-11d1-aebd-0000f80367c1): what everybody may write of
/// themselves. Those of its members that a search can show; measured one by one.
const PERSONAL: &[&str] = &[
    "assistant",
    "c",
    "facsimileTelephoneNumber",
    "homePhone",
    "homePostalAddress",
    "info",
    "ipPhone",
    "l",
    "mobile",
    "otherFacsimileTelephoneNumber",
    "otherHomePhone",
    "otherIpPhone",
    "otherMobile",
    "otherPager",
    "otherTelephone",
    "pager",
    "personalTitle",
    "physicalDeliveryOfficeName",
    "postalAddress",
    "postalCode",
    "postOfficeBox",
    "st",
    "street",
    "streetAddress",
    "telephoneNumber",
    "thumbnailPhoto",
    "url",
    "userCertificate",
    "wWWHomePage",
];

/// Attributes that Samba lets validated writes pass and refuses in other words (measured).
const VALIDATED: [&str; 2] = ["servicePrincipalName", "dNSHostName"];

/// What somebody may do to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Everything,
    /// Personal information, being the owner.
    Own,
    Nothing,
}

/// Checks every change of a request.
///
/// # Errors
/// [`Refusal::NoRight`], [`Refusal::NoRightToReset`] or [`Refusal::NoRightToChange`].
pub(super) fn check(domain: &Domain, who: ObjectId, target: ObjectId, changes: &[Known<'_>]) -> Result<(), Refusal> {
    let rights = of(domain, who, target);
    let is_account = domain.is_account(target);
    let of_password = changes.iter().filter(|change| change.name == password::ATTRIBUTE);
    let needs = Parts::of(of_password.copied()).needs();
    let may_reset = rights == Rights::Everything && is_account;
    for change in changes {
        if change.name == password::ATTRIBUTE {
            match needs {
                Need::Reset if !may_reset => return Err(Refusal::NoRightToReset),
                Need::ResetByChange if !may_reset => return Err(Refusal::NoRightToChange),
                Need::Change if !is_account => return Err(Refusal::NoRightToChange),
                _ => continue,
            }
        }
        match rights {
            Rights::Everything => {}
            Rights::Own if PERSONAL.contains(&change.name) => {}
            _ if VALIDATED.contains(&change.name) => return Err(Refusal::NoRightToValidatedWrite),
            _ => {
                let dn = domain.dn_text(target);
                return Err(Refusal::NoRight { dn });
            }
        }
    }
    Ok(())
}

fn of(domain: &Domain, who: ObjectId, target: ObjectId) -> Rights {
    if is_administrator(domain, who) {
        return Rights::Everything;
    }
    let is_operator = domain.is_in(who, &[], &[ACCOUNT_OPERATORS]);
    let is_user = domain.object(target).class == Class::User;
    if is_operator && is_user && !(domain.dialect().protects_administrators() && is_protected(domain, target)) {
        return Rights::Everything;
    }
    if who == target { Rights::Own } else { Rights::Nothing }
}

/// Whether AdminSDHolder takes the rights over an account away within the hour: those of the groups that it protects,
/// and krbtgt (MS-ADTS 3.1.1.6.1).
fn is_protected(domain: &Domain, id: ObjectId) -> bool {
    let of_themselves = [ADMINISTRATOR, KRBTGT].map(|rid| domain.with_rid(rid));
    let (of_domain, builtin) = protected_groups();
    of_themselves.contains(&Some(id)) || domain.is_in(id, &of_domain, &builtin)
}

/// Whether somebody may do everything.
pub(crate) fn is_administrator(domain: &Domain, id: ObjectId) -> bool {
    domain.is_in(id, &[DOMAIN_ADMINS, ENTERPRISE_ADMINS], &[ADMINISTRATORS])
}
