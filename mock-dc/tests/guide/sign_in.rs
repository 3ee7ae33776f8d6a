use ldap3::{LdapConnAsync, LdapResult, drive};
use postern_mock_dc::MockDc;
use serde_json::json;

const DOMAIN: &str = r#"
    [domain]
    name = "corp.example.com"
    netbios = "CORP"

    [policy]
    lockout_threshold = 3
    lockout_duration_s = 1800
    lockout_window_s = 1800

    [control]
    listen = "127.0.0.1:0"

    [[dcs]]
    name = "dc-1"
    ldap = "127.0.0.1:0"

    [[users]]
    sam = "ada"
    password = "Analytical-1"
"#;

async fn sign_in(dc: &MockDc, password: &str) -> ldap3::result::Result<LdapResult> {
    let url = dc.ldap_url().expect("a controller with an LDAP listener");
    let (connection, mut ldap) = LdapConnAsync::new(&url).await?;
    drive!(connection);
    ldap.simple_bind("CORP\\ada", password).await
}

#[tokio::test]
async fn three_wrong_passwords_lock_for_half_an_hour() -> Result<(), Box<dyn std::error::Error>> {
    let dc = MockDc::start(DOMAIN)?;
    for _ in 0..3 {
        let wrong = sign_in(&dc, "wrong").await?;
        assert!(wrong.rc == 49 && wrong.text.contains("data 52e"), "{wrong}");
    }
    let locked = sign_in(&dc, "Analytical-1").await?;
    assert!(locked.text.contains("data 775"), "{locked}");
    dc.post("/clock", json!({ "advance_s": 1800 }))?;
    assert_eq!(sign_in(&dc, "Analytical-1").await?.rc, 0);
    Ok(())
}

#[tokio::test]
async fn a_password_expires_and_may_have_to_be_changed() -> Result<(), Box<dyn std::error::Error>> {
    let dc = MockDc::start(DOMAIN)?;
    dc.post("/clock", json!({ "advance_s": 43 * 86_400 }))?;
    assert!(sign_in(&dc, "Analytical-1").await?.text.contains("data 532"));
    dc.patch("/users/ada", json!({ "pwdLastSet": 0 }))?;
    assert!(sign_in(&dc, "Analytical-1").await?.text.contains("data 773"));
    Ok(())
}

#[tokio::test]
async fn every_bind_is_told_and_a_controller_can_be_away() -> Result<(), Box<dyn std::error::Error>> {
    let dc = MockDc::start(DOMAIN)?;
    sign_in(&dc, "wrong").await?;
    assert_eq!(dc.binds()?[0]["sub_code"], "52e");
    let verdict = dc.post("/oracle", json!({ "user": "ada", "password": "Analytical-1" }))?;
    assert_eq!(verdict["outcome"], "success");

    dc.put("/faults", json!([{ "kind": "refuse", "dc": "dc-1" }]))?;
    assert!(sign_in(&dc, "Analytical-1").await.is_err());
    dc.reset()?;
    assert_eq!(sign_in(&dc, "Analytical-1").await?.rc, 0);
    Ok(())
}
