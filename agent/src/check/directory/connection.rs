//! The doctor at one domain controller's door: connecting, TLS, what it says of itself, and whether it takes passwords
//! as they would come.

use std::sync::Arc;

use postern_protocol::Password;
use zeroize::Zeroizing;

use super::refused;
use crate::check::certificate;
use crate::check::report::{Name, Status, Step, in_two};
use crate::config::{DirectoryConfig, Server, Transport};
use crate::core::kind::{Kind, Kinds};
use crate::directory::Facts;
use crate::directory::survey::{Asking, Survey, SurveyError};

/// What is looked at on a connection, in this order.
const AFTER_CONNECTING: [Name; 2] = [Name::DirectoryTls, Name::DirectoryKind];

/// A domain controller and how far the look at it got.
pub(super) struct Look {
    pub(super) target: String,
    pub(super) survey: Survey,
    pub(super) transport: Transport,
    pub(super) steps: Vec<Step>,
    pub(super) asked: Option<(Asking, Facts)>,
}

/// Connects and reads the RootDSE.
pub(super) async fn connect(config: Arc<DirectoryConfig>, server: Server, now: i64) -> Look {
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
            let detail = without_address(&detail, &server.address());
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
        Ok(root_dse) => match root_dse.kind_unless(config.kind) {
            Ok(kind) => {
                let facts = Facts { kind, root_dse };
                steps.push(kind_step(&config, &facts, target));
                let usable = steps.last().is_some_and(|step| step.status != Status::Failed);
                if facts.has_password_policy() {
                    asking.ask_password_policy();
                }
                look.asked = usable.then_some((asking, facts));
            }
            Err(unknown) => {
                let (detail, advice) = in_two(&unknown.to_string());
                steps.push(Step::failed(Name::DirectoryKind, target, detail, advice));
            }
        },
        Err(error) => {
            let detail = format!("its RootDSE cannot be read: {error}");
            let advice = format!("{key}: is it a domain controller, and does it answer others?");
            steps.push(Step::failed(Name::DirectoryKind, target, detail, advice));
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

fn kind_step(config: &DirectoryConfig, facts: &Facts, target: &str) -> Step {
    let (kind, says) = (facts.kind, facts.root_dse.kind());
    let is_another = config.kind.is_some() && ![kind, Kind::Other].contains(&says);
    if kind != Kind::ActiveDirectory && config.look_up.names.attribute.is_none() {
        let detail =
            format!("it is of the kind {kind}, whose users bind by DN, and nothing says what names are looked up by");
        let advice = match is_another {
            true => format!("directory.kind: leave it out; it says of itself that it is {says}"),
            false => "directory.look_up.attribute: set it, for example to \"uid\"; or directory.kind, if it is another"
                .to_owned(),
        };
        return Step::failed(Name::DirectoryKind, target, detail, advice);
    }
    if is_another {
        let detail = format!("it is treated as {kind}, and says of itself that it is {says}");
        let advice = "directory.kind: leave it out, unless it is meant so";
        return Step::warning(Name::DirectoryKind, target, detail, advice);
    }
    let more = match (&facts.root_dse.refusal, facts.root_dse.base()) {
        (Some(refusal), _) => format!(" by the configuration; it does not say (result {})", refusal.code),
        (None, Some(base)) => format!(", holding {base}"),
        (None, None) => String::new(),
    };
    Step::ok(Name::DirectoryKind, target, format!("{kind}{more}"))
}

/// What is wrong, without the address that the step names already.
fn without_address(detail: &str, address: &str) -> String {
    let rest = detail.strip_prefix("TLS with ").unwrap_or(detail);
    let rest = rest
        .strip_prefix(address)
        .map(|rest| rest.trim_start_matches([':', ' ']));
    rest.unwrap_or(detail).to_owned()
}

/// One agent serves one directory: those of another kind than most are not used.
pub(super) fn compare(looks: &mut [Look]) {
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

/// Whether passwords are taken over plain LDAP: asked with a name and a password that are nobody's.
pub(super) async fn strong_auth(survey: &Survey, facts: &Facts, target: &str) -> Step {
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

/// A name that nobody has.
fn nobody() -> String {
    format!("postern-agent-check-{:016x}", rand::random::<u64>())
}
