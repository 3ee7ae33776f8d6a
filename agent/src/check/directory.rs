//! The doctor at the directory: DNS, then each domain controller from its port to a look-up.
//!
//! Connecting is tried everywhere at once. The service account is bound at one after another, and at none after one
//! that refused it or did not answer: a wrong password tried everywhere would lock the account.

use std::sync::Arc;

use futures_util::future::join_all;
use postern_protocol::{Password, UserName, Verdict};
use zeroize::Zeroizing;

use super::certificate;
use super::report::{Name, Report, Status, Step, in_two};
use super::sign_in::Way;
use crate::config::{AccountConfig, DirectoryConfig, Server, Transport};
use crate::core::kind::{Kind, Kinds};
use crate::core::names;
use crate::directory::survey::{Asking, Survey, SurveyError};
use crate::directory::{self, Facts, Match, service_account_advice};

/// What is looked at on a connection, in this order.
const AFTER_CONNECTING: [Name; 2] = [Name::DirectoryTls, Name::DirectoryKind];

/// A domain controller and how far the look at it got.
struct Look {
    target: String,
    survey: Survey,
    transport: Transport,
    steps: Vec<Step>,
    asked: Option<(Asking, Facts)>,
}

/// What the look at all of them has come to.
struct Course<'a> {
    config: Arc<DirectoryConfig>,
    user: Option<&'a UserName>,
    /// Where the service account was bound and not accepted.
    refused_at: Option<String>,
    /// How the user can be signed in, as the first that can be used has it.
    way: Result<Way, String>,
}

/// Looks, and says how `user` can be signed in, or why not.
pub(super) async fn check(
    config: DirectoryConfig,
    user: Option<&UserName>,
    now: i64,
    report: &mut Report<'_>,
) -> Result<Way, String> {
    let config = Arc::new(config);
    let servers = servers(&config, report).await;
    let mut looks = join_all(servers.into_iter().map(|server| connect(config.clone(), server, now))).await;
    compare(&mut looks);
    let mut course = Course {
        config,
        user,
        refused_at: None,
        way: Err("the steps before leave no domain controller to sign in at".to_owned()),
    };
    for mut look in looks {
        report.add_all(std::mem::take(&mut look.steps));
        match look.asked.take() {
            Some((asking, facts)) => course.ask(&look, asking, &facts, report).await,
            None => {
                let why = "this domain controller cannot be used";
                let skipped = course.configured().into_iter();
                report.add_all(skipped.map(|name| Step::skipped(name, &look.target, why)));
            }
        }
    }
    course.way
}

/// The domain controllers that there are, after asking DNS if that is configured.
async fn servers(config: &DirectoryConfig, report: &mut Report<'_>) -> Vec<Server> {
    let Some(discover) = &config.discover else {
        return config.servers.clone();
    };
    let (looks, servers) = directory::look(discover, &config.servers).await;
    let any = looks.iter().any(|look| look.trouble.is_none());
    for look in looks {
        let name = &look.name;
        report.add(if let Some(trouble) = look.trouble {
            let (detail, to_do) = in_two(&trouble);
            let advice = format!("directory.discover (domain, site, nameservers): {to_do}");
            // An agent gets on with what the other name says.
            match any {
                true => Step::warning(Name::DirectoryDns, name, detail, advice),
                false => Step::failed(Name::DirectoryDns, name, detail, advice),
            }
        } else if !look.foreign.is_empty() {
            let foreign = look.foreign.into_iter().collect::<Vec<_>>().join(", ");
            let detail = format!("names {}, and {foreign} outside the domain, not used", look.hosts.join(", "));
            let advice = "directory.servers: list those outside if they are yours; if not, somebody forges DNS";
            Step::warning(Name::DirectoryDns, name, detail, advice)
        } else if discover.believes_dns() {
            let detail = format!("names {}, and DNS is believed", look.hosts.join(", "));
            let advice = "directory.discover.verify: leave it out, and give the domain controllers certificates with the \
                          domain's name as well";
            Step::warning(Name::DirectoryDns, name, detail, advice)
        } else {
            Step::ok(Name::DirectoryDns, name, format!("names {}", look.hosts.join(", ")))
        });
    }
    if servers.is_empty() {
        let why = "DNS names no domain controller";
        report.add(Step::skipped(Name::DirectoryConnect, &discover.domain, why));
    }
    servers
}

/// Connects and reads the RootDSE.
async fn connect(config: Arc<DirectoryConfig>, server: Server, now: i64) -> Look {
    let target = format!("{} ({})", server.name, server.address());
    let listed = config.servers.iter().position(|listed| listed.name == server.name);
    let key = listed.map_or("directory.discover".to_owned(), |at| {
        format!("directory.servers[{at}].url")
    });
    let survey = Survey::new(config.clone(), server.clone());
    let mut look = Look {
        target,
        survey,
        transport: server.transport,
        steps: Vec::new(),
        asked: None,
    };
    let target = look.target.as_str();
    let mut asking = match look.survey.connect().await {
        Ok(asking) => asking,
        Err(error) => {
            let (detail, to_do) = in_two(&error.to_string());
            let advice = match to_do.as_str() {
                "" => format!("{key}: is it the address of a domain controller that is up?"),
                // It names the key itself.
                to_do if to_do.contains("directory.") => to_do.to_owned(),
                to_do => format!("{key}: {to_do}"),
            };
            let protected = matches!(error, SurveyError::Unprotected(_));
            let mut steps = match protected {
                true => vec![
                    Step::ok(Name::DirectoryConnect, target, "connects"),
                    Step::failed(Name::DirectoryTls, target, detail, advice),
                ],
                false => vec![Step::failed(Name::DirectoryConnect, target, detail, advice)],
            };
            let left = AFTER_CONNECTING.into_iter().skip(usize::from(protected));
            steps.extend(left.map(|name| Step::skipped(name, target, "there is no connection")));
            look.steps = steps;
            return look;
        }
    };
    let mut steps = vec![
        Step::ok(Name::DirectoryConnect, target, "connects"),
        tls(&server, &asking, target, now),
    ];
    match asking.root_dse().await {
        Ok(root_dse) => {
            let kind = config.kind.unwrap_or_else(|| root_dse.kind());
            steps.push(kind_step(&config, kind, root_dse.base(), target));
            let usable = steps.last().is_some_and(|step| step.status != Status::Failed);
            let facts = Facts { kind, root_dse };
            if facts.has_password_policy() {
                asking.ask_password_policy();
            }
            look.asked = usable.then_some((asking, facts));
        }
        Err(error) => {
            let advice = format!("{key}: is it a domain controller, and does it serve others?");
            steps.push(Step::failed(Name::DirectoryKind, target, error.to_string(), advice));
        }
    }
    look.steps = steps;
    look
}

fn tls(server: &Server, asking: &Asking, target: &str, now: i64) -> Step {
    let what = match server.transport {
        Transport::Ldaps => "LDAPS",
        Transport::StartTls => "StartTLS",
        Transport::Plain => {
            let advice = "directory.servers.insecure: leave it out for StartTLS, or use ldaps://";
            let detail = "nothing protects passwords on the way";
            return Step::warning(Name::DirectoryTls, target, detail, advice);
        }
    };
    let what = format!("{what}, the certificate for {}", server.tls_name.to_str());
    match asking.not_after() {
        Some(end) => {
            let advice = "the domain controller's certificate: renew it";
            certificate::until(Name::DirectoryTls, target, &what, end, now, advice)
        }
        None => Step::ok(Name::DirectoryTls, target, what),
    }
}

fn kind_step(config: &DirectoryConfig, kind: Kind, base: Option<&str>, target: &str) -> Step {
    if kind != Kind::ActiveDirectory && config.look_up.names.attribute.is_none() {
        let detail =
            format!("it is of the kind {kind}, whose users bind by DN, and nothing says what names are looked up by");
        let advice = "directory.look_up.attribute: set it, for example to \"uid\"; or directory.kind, if it is another";
        return Step::failed(Name::DirectoryKind, target, detail, advice);
    }
    let holds = base.map_or(String::new(), |base| format!(", holding {base}"));
    Step::ok(Name::DirectoryKind, target, format!("{kind}{holds}"))
}

/// One agent serves one directory: those of another kind than most are not used.
fn compare(looks: &mut [Look]) {
    let mut kinds = Kinds::default();
    for (index, look) in looks.iter().enumerate() {
        if let Some((_, facts)) = &look.asked {
            kinds.told(index, facts.kind);
        }
    }
    let Some(prevailing) = kinds.prevailing() else { return };
    for look in looks {
        let kind = look.asked.as_ref().map(|(_, facts)| facts.kind);
        if let Some(kind) = kind.filter(|kind| *kind != prevailing) {
            look.asked = None;
            look.steps.pop();
            let detail = format!("it is of the kind {kind}, and others are of the kind {prevailing}");
            let advice = "directory.servers: name domain controllers of one directory only, or set directory.kind";
            look.steps
                .push(Step::failed(Name::DirectoryKind, &look.target, detail, advice));
        }
    }
}

impl Course<'_> {
    /// What is asked of a domain controller that is connected to and known.
    async fn ask(&mut self, look: &Look, mut asking: Asking, facts: &Facts, report: &mut Report<'_>) {
        let target = &look.target;
        if look.transport == Transport::Plain {
            let step = strong_auth(&look.survey, facts, target).await;
            let failed = step.status == Status::Failed;
            report.add(step);
            if failed {
                let skipped = self.configured().into_iter();
                report
                    .add_all(skipped.map(|name| Step::skipped(name, target, "it takes no passwords over plain LDAP")));
                return;
            }
        }
        let config = self.config.clone();
        if let Some(account) = &config.look_up.account {
            let bound = self.bind(account, &mut asking, target).await;
            let failed = !matches!(bound.status, Status::Ok | Status::Warning);
            report.add(bound);
            if failed {
                if self.look_up_wanted(facts).is_some() {
                    let why = "the service account is not bound";
                    report.add(Step::skipped(Name::DirectoryLookUp, target, why));
                }
                // Names that are bound as they are do not need it.
                if let (Some(user), Ok(names::Way::AsTyped)) = (self.user, self.names_way(facts)) {
                    self.offer(look, facts, user.as_str());
                }
                return;
            }
        }
        if let Some(wanted) = self.look_up_wanted(facts) {
            let (step, found) = look_up(&config, &mut asking, facts, wanted, target).await;
            report.add(step);
            if let Some(dn) = found {
                self.offer(look, facts, &dn);
            }
        }
        if let (Some(user), Ok(names::Way::AsTyped)) = (self.user, self.names_way(facts)) {
            self.offer(look, facts, user.as_str());
        }
    }

    /// How the user can be signed in, unless that is known.
    fn offer(&mut self, look: &Look, facts: &Facts, name: &str) {
        if self.way.is_err() {
            self.way = Ok(Way {
                survey: look.survey.clone(),
                target: look.target.clone(),
                name: name.to_owned(),
                asks_password_policy: facts.has_password_policy(),
            });
        }
    }

    /// What the agent would do with the user's name, if the relay's configuration agrees with the agent's.
    fn names_way(&self, facts: &Facts) -> Result<names::Way<'_>, names::NoWay> {
        let Some(user) = self.user else {
            return Ok(names::Way::AsTyped);
        };
        let names = &self.config.look_up.names;
        let binds_names = facts.kind == Kind::ActiveDirectory;
        match names.way(user, true, binds_names) {
            Err(names::NoWay::OnlyTheRelay) => names.way(user, false, binds_names),
            way => way,
        }
    }

    /// The look-up to make, if look-ups are configured: the user's, or one that finds nobody and shows that searches
    /// are permitted.
    fn look_up_wanted(&self, facts: &Facts) -> Option<Wanted> {
        let names = &self.config.look_up.names;
        if let (Some(_), Ok(names::Way::LookUp { attribute, value })) = (self.user, self.names_way(facts)) {
            return Some(Wanted {
                attribute: attribute.to_owned(),
                value: value.to_owned(),
                somebody: true,
            });
        }
        let alternate = names.alternate_id.as_ref().map(|alternate| &alternate.attribute);
        let account = self.config.look_up.account.as_ref();
        let attribute = alternate.or(names.attribute.as_ref()).map(String::as_str);
        let attribute = attribute.or(account.map(|_| "cn"))?;
        Some(Wanted {
            attribute: attribute.to_owned(),
            value: nobody(),
            somebody: false,
        })
    }

    /// What is asked of every domain controller because the configuration has it.
    fn configured(&self) -> Vec<Name> {
        let look_up = &self.config.look_up;
        let account = look_up.account.is_some();
        let searches = account || look_up.names.alternate_id.is_some() || look_up.names.attribute.is_some();
        let account = account.then_some(Name::DirectoryServiceAccount);
        account
            .into_iter()
            .chain(searches.then_some(Name::DirectoryLookUp))
            .collect()
    }

    /// Binds the service account, unless it was refused elsewhere.
    async fn bind(&mut self, account: &AccountConfig, asking: &mut Asking, target: &str) -> Step {
        let name = Name::DirectoryServiceAccount;
        if let Some(before) = &self.refused_at {
            let why = format!("it was not accepted at {before}, and another try could lock it");
            return Step::skipped(name, target, why);
        }
        let password = match account.read_password() {
            Ok(password) => password,
            Err(error) => {
                let advice = "directory.look_up.password_file: write the account's password to it, and nothing else";
                return Step::failed(name, target, error.to_string(), advice);
            }
        };
        let error = match asking.bind(&account.name, &password).await {
            Ok(()) if account.is_readable_by_all() => {
                let detail = format!(
                    "{} is accepted, and every user of this machine can read its password",
                    account.name
                );
                let advice = "directory.look_up.password_file: take the right to read it from others (chmod o=)";
                return Step::warning(name, target, detail, advice);
            }
            Ok(()) => return Step::ok(name, target, format!("{} is accepted", account.name)),
            Err(error) => error,
        };
        let advice = match &error {
            SurveyError::Rejected(Verdict::InvalidCredentials | Verdict::Rejected) => {
                "directory.look_up.account, directory.look_up.password_file: one of the two is wrong".to_owned()
            }
            SurveyError::Rejected(verdict) => {
                format!("directory.look_up.account: {}", service_account_advice(*verdict))
            }
            SurveyError::Refused { result, .. } => refused("directory.servers.url", *result),
            _ => "directory.look_up.account: the domain controller's own log says more".to_owned(),
        };
        if !matches!(error, SurveyError::Refused { .. }) {
            self.refused_at = Some(target.to_owned());
        }
        Step::failed(name, target, format!("{}: {error}", account.name), advice)
    }
}

/// A look-up to make.
struct Wanted {
    attribute: String,
    value: String,
    /// Whether somebody should be found.
    somebody: bool,
}

/// Looks up; gives the account's DN where that was asked for and there is one.
async fn look_up(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    wanted: Wanted,
    target: &str,
) -> (Step, Option<String>) {
    let Wanted {
        attribute,
        value,
        somebody,
    } = wanted;
    let base = config.look_up.base.as_deref();
    let found = asking.look_up(facts, base, &attribute, &value).await;
    let failed = |detail: String, advice: String| (Step::failed(Name::DirectoryLookUp, target, detail, advice), None);
    match found {
        Err(error) => {
            let (detail, to_do) = in_two(&error.to_string());
            let to_do = match to_do.is_empty() {
                true => "the account's right to read accounts, and the domain controller's log".to_owned(),
                false => to_do,
            };
            failed(detail, format!("directory.look_up: {to_do}"))
        }
        Ok(Match::None | Match::One { .. } | Match::Several) if !somebody => {
            let detail = format!("searches by {attribute} are permitted");
            (Step::ok(Name::DirectoryLookUp, target, detail), None)
        }
        Ok(Match::One { dn, .. }) => {
            let detail = format!("{attribute} {value} is {dn}");
            (Step::ok(Name::DirectoryLookUp, target, detail), Some(dn))
        }
        Ok(Match::None) => failed(
            format!("nobody has the {attribute} {value}"),
            "directory.alternate_id.attribute, directory.look_up.base, --user: does the account have that value, and may \
             the service account read it?"
                .to_owned(),
        ),
        Ok(Match::Several) => failed(
            format!("more than one account has the {attribute} {value}"),
            "directory.alternate_id.attribute, directory.look_up.attribute: the value must be one account's alone; take \
             it from the others"
                .to_owned(),
        ),
        Ok(Match::Unusable) => failed(
            format!("the {attribute} {value} is an entry's whose DN cannot be bound"),
            "directory.look_up.base: is it below accounts?".to_owned(),
        ),
    }
}

/// Whether passwords are taken over plain LDAP: asked with a name and a password that are nobody's.
async fn strong_auth(survey: &Survey, facts: &Facts, target: &str) -> Step {
    let name = Name::DirectoryStrongAuth;
    let base = facts.root_dse.base().map_or(String::new(), |base| format!(",{base}"));
    let stranger = format!("cn={}{base}", nobody());
    let Ok(password) = Password::new(Zeroizing::new(nobody())) else {
        return Step::skipped(name, target, "there is nothing to ask with");
    };
    match survey.bind(&stranger, &password).await {
        Ok(()) | Err(SurveyError::Rejected(_)) => Step::ok(name, target, "it takes passwords over plain LDAP"),
        Err(SurveyError::Refused { result, text }) => {
            let detail = format!("it refuses binds over plain LDAP: result {result}, {text:?}");
            Step::failed(name, target, detail, refused("directory.servers.insecure", result))
        }
        Err(error) => {
            let advice = "directory.servers.url: the domain controller's own log says more";
            Step::failed(name, target, error.to_string(), advice)
        }
    }
}

/// What to do where a result says nothing of the password.
pub(super) fn refused(key: &str, result: u32) -> String {
    match directory::advice(result) {
        "" => format!("{key}: the domain controller's own log says more"),
        advice => format!("{key}: {advice}"),
    }
}

/// A name that nobody has.
fn nobody() -> String {
    format!("postern-agent-check-{:016x}", rand::random::<u64>())
}
