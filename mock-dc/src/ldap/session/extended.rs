//! Extended operations: StartTLS, Who am I?, Fast Bind.

use super::{Session, Then};
use crate::ldap::message::{Extended, Outcome};
use crate::ldap::outbox::Outbox;
use crate::ldap::searching::Searching;
use crate::search::root_dse::{FAST_BIND, STARTTLS, WHO_AM_I};

impl Session {
    pub(super) fn extended(
        &mut self,
        id: i32,
        request: &Extended<'_>,
        searches: &Searching,
        outbox: &mut Outbox,
    ) -> Then {
        let dialect = self.dialect();
        let oid = request.oid;
        let mut answer = |outcome: &Outcome, name, value| outbox.answers().extended(id, outcome, name, value);
        match std::str::from_utf8(oid).unwrap_or_default() {
            STARTTLS if self.encrypted => answer(&dialect.tls_twice().into(), Some(oid), None),
            // RFC 4511 4.14.1; what was not read of an operation would come over TLS otherwise.
            STARTTLS if !searches.is_empty() => answer(&dialect.tls_amid_operations().into(), Some(oid), None),
            STARTTLS => {
                answer(&Outcome::SUCCESS, Some(oid), None);
                return Then::StartTls;
            }
            WHO_AM_I if dialect.answers_who_am_i() => {
                let who = self.authorization_id();
                answer(&Outcome::SUCCESS, None, Some(who.as_bytes()));
            }
            FAST_BIND if dialect.offers_fast_bind() => {
                if self.identity.is_some() {
                    answer(&dialect.not_in_fast_bind().into(), Some(oid), None);
                } else {
                    self.fast_bind = true;
                    answer(&Outcome::SUCCESS, Some(oid), None);
                }
            }
            text => {
                let outcome = dialect.no_such_extended_operation(text).into();
                answer(&outcome, dialect.names_refused_operation().then_some(oid), None);
            }
        }
        Then::Continue
    }

    /// Who is signed in (RFC 4532, MS-ADTS 3.1.1.3.4.2.4); empty for nobody.
    fn authorization_id(&self) -> String {
        let domain = &self.controller.world.domain;
        self.identity
            .map(|id| format!("u:{}\\{}", domain.netbios(), domain.sam(id)))
            .unwrap_or_default()
    }
}
