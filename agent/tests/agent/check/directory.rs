//! Faults at the directory: its door, what it is, and what the service account may do there.

use super::*;

#[tokio::test]
async fn faults_on_the_way_to_a_domain_controller() {
    let mut patient = Patient::new().await;
    let url = patient.dc().url();
    patient.replace(&url, "ldaps://127.0.0.1:1");
    patient
        .finds(
            None,
            "directory.connect",
            "dc-1 (127.0.0.1:1)",
            "directory.servers[0].url",
        )
        .await;

    let mut patient = Patient::new().await;
    patient.bed.folder.write("other-ca.pem", &Ca::new().pem());
    patient.replace(
        "[directory]\nanchors = \"ca.pem\"",
        "[directory]\nanchors = \"other-ca.pem\"",
    );
    patient.finds(None, "directory.tls", "dc-1", "directory.anchors").await;

    let mut patient = Patient::new().await;
    patient.replace("\"dc-1.corp.example.com\"", "\"dc-2.corp.example.com\"");
    patient.finds(None, "directory.tls", "dc-1", "set server_name").await;

    let patient = Patient::with(Manner::Silent, "").await;
    patient
        .finds(
            Some(USER),
            "directory.tls",
            "dc-1",
            "directory.servers[0].url: is this the LDAPS port",
        )
        .await;

    let mut patient = Patient::new().await;
    let dns = Dns::start().await;
    patient.directory = format!(
        "[directory.discover]\ndomain = \"corp.example.com\"\nnameservers = [\"{}\"]\n",
        dns.address
    );
    let name = "_ldap._tcp.dc._msdcs.corp.example.com";
    patient
        .finds(Some(USER), "directory.dns", name, "directory.discover")
        .await;
}

#[tokio::test]
async fn faults_of_what_the_directory_is_and_takes() {
    let patient = Patient::with(Manner::OpenLdap, "").await;
    patient
        .finds(None, "directory.kind", "dc-1", "directory.look_up.attribute")
        .await;

    let mut patient = Patient::new().await;
    patient.replace("[directory]\n", "[directory]\nkind = \"openldap\"\n");
    patient
        .finds(None, "directory.kind", "dc-1", "directory.kind: leave it out")
        .await;

    let patient = Patient::with(Manner::GarbageRootDse, "").await;
    patient
        .finds(Some(USER), "directory.kind", "dc-1", "directory.servers[0].url")
        .await;

    let patient = Patient::new().await;
    patient.dc().refuse_root_dse(LdapResultCode::InsufficentAccessRights);
    patient.finds(None, "directory.kind", "dc-1", "directory.kind").await;

    let mut patient = Patient::with(Manner::Plain(0), "insecure = true").await;
    patient.replace("server_name = \"dc-1.corp.example.com\"\n", "");
    let text = "BindSimple: Transport encryption required.".to_owned();
    patient
        .dc()
        .script(Reply::Answer(LdapResultCode::StrongerAuthRequired, text));
    patient
        .finds(
            Some(USER),
            "directory.strong-auth",
            "dc-1",
            "directory.servers.insecure",
        )
        .await;
    let binds = patient.bed.binds();
    assert!(
        binds.len() == 1 && binds[0].0.starts_with("cn=postern-agent-check-"),
        "{binds:?}"
    );
}

#[tokio::test]
async fn faults_of_the_service_account_and_what_it_finds() {
    let patient = Patient::with_look_ups().await;
    patient.dc().script(wrong());
    let key = "directory.look_up.password_file";
    patient
        .finds(Some(MAIL), "directory.service-account", "dc-1", key)
        .await;
    assert_eq!(patient.bed.binds().len(), 1, "nobody else was bound");

    let two = || {
        vec![
            entry(DN, &[]),
            entry("CN=Ada2,DC=corp", &[]),
            done(LdapResultCode::Success),
        ]
    };
    for (found, key) in [
        (two(), "directory.alternate_id.attribute"),
        (vec![done(LdapResultCode::Success)], "directory.alternate_id.attribute"),
        (vec![done(LdapResultCode::InsufficentAccessRights)], "directory.look_up"),
    ] {
        let patient = Patient::with_look_ups().await;
        patient.dc().finds(Some(found));
        patient.finds(Some(MAIL), "directory.look-up", "dc-1", key).await;
        let bound: Vec<String> = patient.bed.binds().into_iter().map(|(name, _)| name).collect();
        assert_eq!(bound, [SERVICE]);
    }
}

#[tokio::test]
async fn a_service_account_that_sees_nobody_is_named_whether_or_not_somebody_is_asked_for() {
    let nobody = || Some(vec![done(LdapResultCode::Success)]);
    for user in [None, Some(MAIL)] {
        let patient = Patient::with_look_ups().await;
        patient.dc().shows(nobody());
        patient
            .finds(user, "directory.look-up", "dc-1", "the right to read accounts")
            .await;
        let bound: Vec<String> = patient.bed.binds().into_iter().map(|(name, _)| name).collect();
        assert_eq!(bound, [SERVICE]);
    }

    // Without an index, it may not say.
    let patient = Patient::with_look_ups().await;
    patient.dc().shows(Some(vec![done(LdapResultCode::AdminLimitExceeded)]));
    let said = patient.check(None).await;
    let step = said.steps.last().unwrap();
    assert_eq!(
        (said.code, &step["status"]),
        (0, &Value::from("warning")),
        "{}",
        said.text
    );
}

#[tokio::test]
async fn a_service_account_that_is_refused_at_one_domain_controller_is_tried_at_no_other() {
    let mut patient = Patient::with_look_ups().await;
    let second = Dc::start_as(&patient.bed.ca.issue(None, &["dc-2.corp.example.com"]), Manner::Ldaps).await;
    second.script(wrong());
    patient.dc().script(wrong());
    patient.bed.dcs.push(second);
    patient.directory = patient.bed.servers("");
    patient
        .finds(None, "directory.service-account", "dc-1", "directory.look_up.account")
        .await;
    assert_eq!(patient.bed.binds().len(), 1);
}
